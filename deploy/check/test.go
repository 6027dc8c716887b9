package check

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// Test runs the tests of all modules with the race detector and in random order. They find DynamoDB by the environment
// variable DYNAMODB_ENDPOINT. Without a C compiler, which the race detector needs, it says so and does without.
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
	return command{
		dir:  options.Root,
		env:  []string{"DYNAMODB_ENDPOINT=" + options.Endpoint},
		args: append(args, everything),
	}.run(ctx, options.Out, options.Out)
}
