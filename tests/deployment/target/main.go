// Command target runs one of the magefile's targets on a stage, for the tests: a program of its own, as a test binary with the race
// detector takes several times as long.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/userrequestapi/userdata/deploy/interrupt"
	"github.com/userrequestapi/userdata/deploy/release"
	"github.com/userrequestapi/userdata/deploy/telemetry"
)

func main() { os.Exit(run(os.Args[1], os.Args[2:])) }

// run is what the magefile does for a target, and how mage exits.
func run(target string, args []string) int {
	ctx, stop := interrupt.Context()
	defer stop()
	settings, err := release.FromEnvironment(".", os.Stdout, os.Getenv)
	settings.Poll = 100 * time.Millisecond // the emulated account is quicker than AWS
	if err == nil {
		switch target {
		case "deploy":
			err = release.Deploy(ctx, settings)
		case "plan":
			err = release.Plan(ctx, settings)
		case "deployFunction":
			err = release.Function(ctx, settings, args[0])
		case "rollback":
			err = release.Rollback(ctx, settings)
		case "status":
			err = release.Status(ctx, settings)
		case "smoke":
			err = release.Smoke(ctx, settings)
		case "destroy":
			err = release.Destroy(ctx, settings)
		case "docs":
			err = release.Docs(ctx, settings)
		case "template":
			err = release.Template(ctx, settings, os.Stdout)
		case "logs":
			var asked telemetry.Settings
			if asked, err = telemetry.FromEnvironment(".", os.Stdout, os.Getenv); err == nil {
				err = telemetry.Logs(ctx, asked)
			}
		default:
			err = fmt.Errorf("no target %s", target)
		}
	}
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintln(os.Stderr, "Error:", err)
	if coded, ok := err.(interface{ ExitStatus() int }); ok {
		return coded.ExitStatus()
	}
	return 1
}
