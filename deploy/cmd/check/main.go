// Command check tests, fuzzes and lints the workspace.
package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/userrequestapi/userdata/deploy/check"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/host/ansi"
	"github.com/userrequestapi/userdata/deploy/host/environment"
	"github.com/userrequestapi/userdata/deploy/host/program"
)

func main() {
	program.Main(map[string]program.Target{
		"test":     func(ctx context.Context, _ []string) error { return test(ctx, false) },
		"test:all": func(ctx context.Context, _ []string) error { return test(ctx, true) },
		"fuzz":     fuzz,
		"lint":     lint,
	})
}

func test(ctx context.Context, all bool) error {
	variables := environment.New(os.Getenv)
	short := variables.Flag("SHORT", false)
	if err := variables.Err(); err != nil {
		return err
	}
	return check.Test(ctx, check.TestOptions{
		Root:     program.Root,
		All:      all,
		Short:    short,
		Packages: strings.Fields(os.Getenv("PACKAGES")),
		Except:   strings.Fields(os.Getenv("EXCEPT")),
		// Packages that serve requests concurrently. The race detector makes tests several times slower.
		Race:     []string{"./shared/...", "./functions/...", "./deploy/local/..."},
		Endpoint: os.Getenv(testenv.EndpointVariable),
		Out:      os.Stdout,
	})
}

func fuzz(ctx context.Context, _ []string) error {
	duration, err := time.ParseDuration(cmp.Or(os.Getenv("FUZZTIME"), "1m"))
	if err != nil {
		return fmt.Errorf("FUZZTIME: %w", err)
	}
	return check.Fuzz(ctx, check.FuzzOptions{Root: program.Root, Time: duration, Out: os.Stdout})
}

func lint(ctx context.Context, _ []string) error {
	return check.Lint(ctx, check.LintOptions{
		Root:  program.Root,
		Only:  strings.FieldsFunc(os.Getenv("ONLY"), func(r rune) bool { return r == ',' }),
		Color: ansi.Color(os.Stdout, os.Getenv),
		Out:   os.Stdout,
	})
}
