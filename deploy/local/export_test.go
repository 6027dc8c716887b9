package local

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/userrequestapi/userdata/deploy/local/lambda"
)

// WriteJSON writes event as to a stdout that is not a terminal.
func WriteJSON(w io.Writer, event lambda.Event) error { return writeJSON(w, entry{event: event}) }

// WriteText writes event as to a terminal.
func WriteText(w io.Writer, event lambda.Event, color bool) error {
	return terminalWriter{out: w, color: color}.write(entry{event: event})
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
