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

	"github.com/magefile/mage/mg"
	"golang.org/x/term"

	"github.com/userrequestapi/userdata/deploy/build"
	"github.com/userrequestapi/userdata/deploy/check"
	"github.com/userrequestapi/userdata/deploy/generate"
	"github.com/userrequestapi/userdata/deploy/interrupt"
	"github.com/userrequestapi/userdata/deploy/local"
	"github.com/userrequestapi/userdata/deploy/release"
	"github.com/userrequestapi/userdata/deploy/site"
	"github.com/userrequestapi/userdata/deploy/telemetry"
)

// Run serves the API on this machine until Ctrl-C; PORT, STAGE and RESET=1 are honoured (see docs/run.md).
func Run(ctx context.Context) error {
	ctx, stop := interrupt.Context(ctx)
	defer stop()
	return local.Run(ctx, ".")
}

// Debug serves the API as run does, with one function, such as get, under the debugger Delve (see docs/change.md).
func Debug(ctx context.Context, function string) error {
	ctx, stop := interrupt.Context(ctx)
	defer stop()
	return local.Debug(ctx, ".", function)
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

// Deploy builds what has changed and brings the stage STAGE (prod) on AWS to what the source says (see docs/deploy.md).
func Deploy(ctx context.Context) error { return onStage(ctx, os.Stdout, release.Deploy) }

// Plan shows what deploy would change.
func Plan(ctx context.Context) error { return onStage(ctx, os.Stdout, release.Plan) }

// DeployFunction deploys the code of one function, such as get, and nothing else.
func DeployFunction(ctx context.Context, name string) error {
	return onStage(ctx, os.Stdout, func(ctx context.Context, settings release.Settings) error {
		return release.Function(ctx, settings, name)
	})
}

// Rollback makes the release before the present one the present one again.
func Rollback(ctx context.Context) error { return onStage(ctx, os.Stdout, release.Rollback) }

// Status tells how the stage is: its stack, versions, drift and alarms.
func Status(ctx context.Context) error { return onStage(ctx, os.Stdout, release.Status) }

// Smoke tries the deployed stage out with a user that it creates and deletes.
func Smoke(ctx context.Context) error { return onStage(ctx, os.Stdout, release.Smoke) }

// Destroy removes the stage; the table with the users stays unless DELETE_TABLE names it.
func Destroy(ctx context.Context) error { return onStage(ctx, os.Stdout, release.Destroy) }

// Template prints the template of the stage as CloudFormation is given it.
func Template(ctx context.Context) error {
	return onStage(ctx, os.Stderr, func(ctx context.Context, settings release.Settings) error {
		return release.Template(ctx, settings, os.Stdout)
	})
}

// onStage runs what works on a stage of AWS, and shows on out how it goes.
func onStage(ctx context.Context, out *os.File, target func(context.Context, release.Settings) error) error {
	ctx, stop := interrupt.Context(ctx)
	defer stop()
	settings, err := release.FromEnvironment(".", out, os.Getenv)
	if err != nil {
		return err
	}
	return target(ctx, settings)
}

// Traces shows the stage's recent traces, those with FAULT=1, SLOWER=500ms and so on, or one of them by TRACE (see docs/operate.md).
func Traces(ctx context.Context) error { return observe(ctx, telemetry.Traces) }

// Logs shows the lines of the stage's logs, those of a REQUEST or a TRACE, and follows them on a terminal (see docs/operate.md).
func Logs(ctx context.Context) error { return observe(ctx, telemetry.Logs) }

// observe runs what shows how a stage on AWS is doing.
func observe(ctx context.Context, target func(context.Context, telemetry.Settings) error) error {
	ctx, stop := interrupt.Context(ctx)
	defer stop()
	settings, err := telemetry.FromEnvironment(".", os.Stdout, os.Getenv)
	if err != nil {
		return err
	}
	return target(ctx, settings)
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

// Generate writes the files that follow from the API document: the Go client's operations and the collections of requests.
func Generate(ctx context.Context) error {
	ctx, stop := interrupt.Context(ctx)
	defer stop()
	return generate.All(ctx, ".", os.Stdout)
}

// Docs are the targets of the documentation.
type Docs mg.Namespace

// Stage exports the API document of the deployed stage to docs/api, and opens its pages to try it out; docs for short (see docs/deploy.md).
func (Docs) Stage(ctx context.Context) error { return onStage(ctx, os.Stdout, release.Docs) }

// Site writes the documentation as a static site into bin/site, or into the folder OUT.
func (Docs) Site(ctx context.Context) error {
	ctx, stop := interrupt.Context(ctx)
	defer stop()
	return site.Write(ctx, site.Options{
		Root:     ".",
		Out:      env("OUT", filepath.Join("bin", "site")),
		Progress: func(step string) { fmt.Println(step) },
	})
}

// Aliases are shorter names of targets.
var Aliases = map[string]any{"docs": Docs.Stage} //nolint:gochecknoglobals // so mage is told of them

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
