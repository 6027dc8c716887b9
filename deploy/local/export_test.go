package local

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/userrequestapi/userdata/deploy/local/lambda"
)

// WriteJSON is what stdout gets where it is no terminal.
func WriteJSON(w io.Writer, event lambda.Event) error { return writeJSON(w, entry{event: event}) }

// WriteText is what a terminal gets.
func WriteText(w io.Writer, event lambda.Event, color bool) error {
	return reader{out: w, color: color}.write(entry{event: event})
}

// RunBuilt is [Run] with functions that are built already.
func RunBuilt(ctx context.Context, root string, bootstraps map[string]string) error {
	cfg, err := configure(root, os.Getenv)
	if err != nil {
		return err
	}
	cfg.Bootstraps = bootstraps
	return run(ctx, cfg, "")
}

// MakeRunDir returns the folder of a run, and a function that releases its lock as the end of the process does.
func MakeRunDir(builds string) (dir string, release func() error, err error) {
	dir, lock, err := makeRunDir(builds)
	return dir, lock.Close, err
}

// StepLine is the line for a step of the start, or for what comes after it.
func StepLine(step string, elapsed time.Duration, terminal, color, over bool) string {
	s := &steps{terminal: terminal, color: color}
	s.over.Store(over)
	return s.line(step, elapsed)
}
