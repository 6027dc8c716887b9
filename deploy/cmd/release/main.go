// Command release deploys stages to AWS.
package main

import (
	"context"
	"os"

	"github.com/userrequestapi/userdata/deploy/host/program"
	"github.com/userrequestapi/userdata/deploy/release"
)

func main() {
	program.Main(map[string]program.Target{
		"deploy":   onStage(os.Stdout, release.Deploy),
		"plan":     onStage(os.Stdout, release.Plan),
		"rollback": onStage(os.Stdout, release.Rollback),
		"status":   onStage(os.Stdout, release.Status),
		"smoke":    onStage(os.Stdout, release.Smoke),
		"destroy":  onStage(os.Stdout, release.Destroy),
		"docs":     onStage(os.Stdout, release.Docs),
		"template": onStage(os.Stderr, func(ctx context.Context, settings release.Settings) error {
			return release.Template(ctx, settings, os.Stdout)
		}),
		"deployFunction": program.WithArgument("a function", func(ctx context.Context, function string) error {
			return onStage(os.Stdout, func(ctx context.Context, settings release.Settings) error {
				return release.Function(ctx, settings, function)
			})(ctx, nil)
		}),
	})
}

// onStage returns a target that works on a stage and reports its progress on out.
func onStage(out *os.File, target func(context.Context, release.Settings) error) program.Target {
	return func(ctx context.Context, _ []string) error {
		settings, err := release.FromEnvironment(program.Root, out, os.Getenv)
		if err != nil {
			return err
		}
		return target(ctx, settings)
	}
}
