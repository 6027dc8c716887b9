// Command bench measures the functions, and how long the steps of the development loop take.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/userrequestapi/userdata/deploy/host/environment"
	"github.com/userrequestapi/userdata/deploy/host/program"
)

func main() { program.Main(map[string]program.Target{"bench": functions, "loop": loop}) }

// loop measures the development loop RUNS times, and one run of the tests unless TESTS=0, and prints a table.
func loop(ctx context.Context, _ []string) error {
	variables := environment.New(os.Getenv)
	runs := variables.Number("RUNS", 5, 1, 100)
	tests := variables.Flag("TESTS", true)
	if err := variables.Err(); err != nil {
		return err
	}
	c, err := newCheckout(ctx, program.Root)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(c.dir) }()
	if _, err := c.restart(ctx, 1); err != nil { // compiles
		return err
	}
	rows := []struct {
		name    string
		runs    int
		measure func(ctx context.Context, runs int) ([]time.Duration, error)
	}{
		{"restart of go tool mage run, to the first response", runs, c.restart},
		{"save to live, one line in " + filepath.ToSlash(c.function), runs, c.save(c.function, "main")},
		{"save to live, one line in shared", runs, c.save("shared/function", "function")},
		{"go tool mage test", 1, c.test},
	}
	if !tests {
		rows = rows[:len(rows)-1]
	}
	for _, row := range rows {
		took, err := row.measure(ctx, row.runs)
		if err != nil {
			return fmt.Errorf("%s: %w", row.name, err)
		}
		printRow(os.Stdout, row.name, took)
	}
	return nil
}

// printRow prints the median and the range of durations.
func printRow(out io.Writer, name string, took []time.Duration) {
	slices.Sort(took)
	seconds := func(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
	line := fmt.Sprintf("%-52s median %8s", name, seconds(took[len(took)/2]))
	if len(took) > 1 {
		line += fmt.Sprintf("  (%s to %s, %d runs)", seconds(took[0]), seconds(took[len(took)-1]), len(took))
	}
	_, _ = fmt.Fprintln(out, strings.TrimRight(line, " "))
}
