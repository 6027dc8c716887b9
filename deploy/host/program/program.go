// Package program is the main function of the programs below deploy/cmd, which mage's targets start.
package program

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/userrequestapi/userdata/deploy/host/environment"
	"github.com/userrequestapi/userdata/deploy/host/interrupt"
)

// Root is the workspace: mage starts the programs in its folder.
const Root = "."

// Target runs one of the targets that a program has. ctx ends when the user interrupts the program.
type Target func(ctx context.Context, args []string) error

// WithArgument returns a target that wants one argument, which what names.
func WithArgument(what string, target func(ctx context.Context, argument string) error) Target {
	return func(ctx context.Context, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("want %s, got %q", what, args)
		}
		return target(ctx, args[0])
	}
}

// Main runs the target that the first argument names with the other arguments, and exits. The exit code is 0 on success, that
// of the error if it has a method ExitStatus, and 1 otherwise.
func Main(targets map[string]Target) { os.Exit(run(targets, os.Args[1:])) }

func run(targets map[string]Target, args []string) int {
	err := fmt.Errorf("want a target: one of %s", strings.Join(slices.Sorted(maps.Keys(targets)), ", "))
	if len(args) > 0 && targets[args[0]] != nil {
		ctx, stop := interrupt.Context()
		defer stop()
		err = targets[args[0]](ctx, args[1:])
	}
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintln(os.Stderr, "Error:", environment.ExplainDiskFull(err)) // as mage does
	if coded, ok := errors.AsType[interface {
		error
		ExitStatus() int
	}](err); ok {
		return coded.ExitStatus()
	}
	return 1
}
