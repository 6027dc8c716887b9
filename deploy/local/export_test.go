package local

import (
	"context"
	"os"
	"time"

	"github.com/userrequestapi/userdata/deploy/aws/logformat"
	"github.com/userrequestapi/userdata/deploy/local/apigateway"
	"github.com/userrequestapi/userdata/deploy/local/lambda"
)

// JSONLine formats event as for the file, and with LOG=all for a stdout that is not a terminal.
func JSONLine(event lambda.Event) string { return jsonLine(entry{event: event}) }

// TextLine formats event as for a terminal with LOG=all.
func TextLine(event lambda.Event, color bool) string {
	return textLine(entry{event: event}, logformat.Style{Color: color})
}

// RequestLine formats a request as Run prints it.
func RequestLine(record apigateway.Record, color bool) string {
	return requestLine(entry{record: &record}, logformat.Style{Color: color})
}

// WriteLog writes a request with its line of the access log and an event of its function to the file path and to
// stdout.
func WriteLog(path string, stdout *os.File, all bool, record apigateway.Record, access string, event lambda.Event) error {
	log, err := openLog(path, stdout, all)
	if err != nil {
		return err
	}
	log.add(entry{event: event})
	log.add(entry{record: &record, access: access})
	return log.close()
}

// RunBuilt is [Run] with functions that are already built.
func RunBuilt(ctx context.Context, root string, bootstraps map[string]string) error {
	cfg, err := configure(root, os.Getenv)
	if err != nil {
		return err
	}
	cfg.Bootstraps = bootstraps
	return run(ctx, cfg, "")
}

// CreateRunDir returns the folder of a run, and a function that releases its lock as the end of the process does.
func CreateRunDir(builds string) (dir string, release func() error, err error) {
	dir, lock, err := createRunDir(builds)
	return dir, lock.Close, err
}

// StepLine returns the line for a step during the start, or after it.
func StepLine(step string, elapsed time.Duration, terminal, color, started bool) string {
	s := &steps{terminal: terminal, color: color}
	s.started.Store(started)
	return s.line(step, elapsed)
}

// CreateExample creates the example item of the first start.
func (s *Instance) CreateExample(ctx context.Context) error { return s.createExample(ctx) }

// Description returns the startup message.
func (s *Instance) Description() (string, error) { return s.description() }
