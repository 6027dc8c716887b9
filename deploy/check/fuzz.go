package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// FuzzOptions configure [Fuzz].
type FuzzOptions struct {
	Root string        // the workspace
	Time time.Duration // for each target
	Out  io.Writer
}

// Fuzz runs the fuzz targets of all modules one after the other. The error joins all findings. go test writes the
// input of a finding to the package's testdata, from where later test runs use it.
func Fuzz(ctx context.Context, options FuzzOptions) error {
	listed, err := command{
		dir:  options.Root,
		args: []string{"go", "test", "-vet=off", "-json", "-list=^Fuzz", everything},
	}.output(ctx)
	if err != nil {
		return fmt.Errorf("list fuzz targets: %w", err)
	}
	var findings []error
	for events := json.NewDecoder(strings.NewReader(listed)); ; {
		var event struct{ Action, Package, Output string } // see go doc test2json
		if err := events.Decode(&event); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("list fuzz targets: %w", err)
		}
		if event.Action != "output" || !strings.HasPrefix(event.Output, "Fuzz") {
			continue
		}
		target := strings.TrimSpace(event.Output)
		_, _ = fmt.Fprintf(options.Out, "%s in %s\n", target, event.Package)
		err := command{
			dir: options.Root,
			args: []string{
				"go", "test", "-run=^$", "-fuzz=^" + target + "$", "-fuzztime=" + options.Time.String(), event.Package,
			},
		}.run(ctx, options.Out, options.Out)
		if ctx.Err() != nil {
			return err
		}
		if err != nil {
			findings = append(findings, fmt.Errorf("%s in %s: %w", target, event.Package, err))
		}
	}
	return errors.Join(findings...)
}
