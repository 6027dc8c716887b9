package local

import (
	"context"
	"io"
	"os"

	"github.com/userrequestapi/userdata/deploy/local/lambdahost"
)

// WriteJSON is what stdout gets where it is no terminal.
func WriteJSON(w io.Writer, event lambdahost.Event) error { return writeJSON(w, entry{event: event}) }

// WriteText is what a terminal gets.
func WriteText(w io.Writer, event lambdahost.Event, color bool) error {
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
