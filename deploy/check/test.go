package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/userrequestapi/userdata/deploy/local/dynamodb"
)

// testTimeout is for one package, on a slow machine with nothing cached; a test that hangs shows its stacks before a build server gives up.
const testTimeout = "40m"

// TestOptions say how to test.
type TestOptions struct {
	Root     string // the workspace
	Short    bool   // leaves out what needs Java, npm or the network
	Endpoint string // of a DynamoDB that runs; if empty, and not Short, one is started in memory and stopped at the end
	Out      io.Writer
}

// summaryVariable is the environment variable that names the file for what tests have to say even where they pass, which the go
// command does not show.
const summaryVariable = "TEST_SUMMARY"

// Test runs the tests of all modules with the race detector and in random order. They find DynamoDB by the environment
// variable DYNAMODB_ENDPOINT. What they write to the end of the file that TEST_SUMMARY names is printed after them. Without a C
// compiler, which the race detector needs, it says so and does without.
func Test(ctx context.Context, options TestOptions) (err error) {
	args := []string{"go", "test", "-shuffle=on", "-timeout=" + testTimeout}
	// The go command answers 0 where it finds no C compiler, unless it is told otherwise.
	cgo, err := command{dir: options.Root, args: []string{"go", "env", "CGO_ENABLED"}}.output(ctx)
	if err != nil {
		return err
	}
	if strings.TrimSpace(cgo) == "1" {
		args = append(args, "-race")
	} else {
		_, _ = fmt.Fprintln(options.Out, "Testing without the race detector: it needs cgo and a C compiler such as gcc.")
	}
	if options.Short {
		args = append(args, "-short")
	}
	if options.Endpoint == "" && !options.Short {
		server, err := dynamodb.Start(ctx, dynamodb.Config{
			Progress: func(step string) { _, _ = fmt.Fprintln(options.Out, step) },
		})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, server.Close()) }()
		options.Endpoint = server.Endpoint()
	}
	summary, err := os.CreateTemp("", "test-summary-")
	if err != nil {
		return fmt.Errorf("test: %w", err)
	}
	defer func() { err = errors.Join(err, summary.Close(), os.Remove(summary.Name())) }()
	err = command{
		dir:  options.Root,
		env:  []string{"DYNAMODB_ENDPOINT=" + options.Endpoint, summaryVariable + "=" + summary.Name()},
		args: append(args, everything),
	}.run(ctx, options.Out, options.Out)
	_, copied := io.Copy(options.Out, summary)
	return errors.Join(err, copied)
}
