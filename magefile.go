//go:build mage

// UserRequestAPI: users by id, kept in DynamoDB and served by AWS Lambda behind API Gateway.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/userrequestapi/userdata/deploy/build"
	"github.com/userrequestapi/userdata/deploy/check"
	"github.com/userrequestapi/userdata/deploy/interrupt"
	"github.com/userrequestapi/userdata/deploy/local"
)

// Run serves the API on this machine until Ctrl-C; PORT, STAGE and RESET=1 are honoured (see docs/run.md).
func Run(ctx context.Context) error {
	ctx, stop := interrupt.Context(ctx)
	defer stop()
	return local.Run(ctx, ".")
}

// Build compiles the functions as they are deployed into bin/, for this machine or for TARGET, such as linux/arm64.
func Build(ctx context.Context) error {
	ctx, stop := interrupt.Context(ctx)
	defer stop()
	target, err := build.ParseTarget(env("TARGET", build.Host().String()))
	if err != nil {
		return err
	}
	functions, err := build.Find(".")
	if err != nil {
		return err
	}
	_, err = build.Functions(ctx, functions, build.Options{
		Root:   ".",
		Out:    "bin",
		Target: target,
		Progress: func(a build.Artifact) {
			fmt.Printf("%s (%.1f MB, %v)\n", filepath.Join("bin", a.Name, build.Executable),
				float64(a.Size)/1e6, a.Took.Round(10*time.Millisecond))
		},
	})
	return err
}

// Test runs all tests with the race detector; SHORT=1 leaves out what needs Java, npm or the network.
func Test(ctx context.Context) error {
	ctx, stop := interrupt.Context(ctx)
	defer stop()
	return check.Test(ctx, check.TestOptions{
		Root:     ".",
		Short:    env("SHORT", "0") != "0",
		Endpoint: os.Getenv("DYNAMODB_ENDPOINT"),
		Out:      os.Stdout,
	})
}

// Fuzz runs each fuzz target for a minute, or for FUZZTIME, such as 10s.
func Fuzz(ctx context.Context) error {
	ctx, stop := interrupt.Context(ctx)
	defer stop()
	duration, err := time.ParseDuration(env("FUZZTIME", "1m"))
	if err != nil {
		return fmt.Errorf("FUZZTIME: %w", err)
	}
	return check.Fuzz(ctx, check.FuzzOptions{Root: ".", Time: duration, Out: os.Stdout})
}

// Lint runs all linters and checks of the modules; ONLY=gofmt,staticcheck runs just those.
func Lint(ctx context.Context) error {
	ctx, stop := interrupt.Context(ctx)
	defer stop()
	return check.Lint(ctx, check.LintOptions{
		Root:  ".",
		Only:  strings.FieldsFunc(os.Getenv("ONLY"), func(r rune) bool { return r == ',' }),
		Color: os.Getenv("NO_COLOR") == "" && term.IsTerminal(int(os.Stdout.Fd())),
		Out:   os.Stdout,
	})
}

// Clean removes bin/ and .local/, the data of the stack on this machine with it.
func Clean() error {
	for _, dir := range []string{"bin", ".local"} {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("clean: %w", err)
		}
	}
	return nil
}

// env returns the environment variable, or fallback where it is unset or empty.
func env(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}
