// Package program provides the main function of the programs in deploy/cmd, which the mage targets start: signals,
// error texts and exit codes.
package program

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// Root is the path of the workspace: mage starts the programs in its folder.
const Root = "."

// Target runs one target of a program. ctx ends when the user interrupts the program.
type Target func(ctx context.Context, args []string) error

// WithArgument returns a Target with exactly one argument. what describes the argument in the error, such as "a file".
func WithArgument(what string, target func(ctx context.Context, argument string) error) Target {
	return func(ctx context.Context, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("want %s, got %q", what, args)
		}
		return target(ctx, args[0])
	}
}

// Main runs the target named by the first argument with the remaining arguments, and exits. The exit code is 0 on
// success; otherwise that of the error's method ExitStatus, or 1.
func Main(targets map[string]Target) { os.Exit(run(targets, os.Args[1:])) }

func run(targets map[string]Target, args []string) int {
	err := fmt.Errorf("want a target: one of %s", strings.Join(slices.Sorted(maps.Keys(targets)), ", "))
	if len(args) > 0 && targets[args[0]] != nil {
		ctx, stop := Context()
		defer stop()
		err = targets[args[0]](ctx, args[1:])
	}
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintln(os.Stderr, "Error:", ExplainDiskFull(err)) // the format of mage
	if coded, ok := errors.AsType[interface {
		error
		ExitStatus() int
	}](err); ok {
		return coded.ExitStatus()
	}
	return 1
}
