// Package deployment_test deploys the API into an emulated account by the very targets that mage runs, each in a process of its
// own, and looks at what is there afterwards: through the API, and through the targets' output and exit codes.
package deployment_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/userrequestapi/userdata/deploy/interrupt"
	"github.com/userrequestapi/userdata/deploy/release"
)

// targetVariable names the target that this program runs instead of the tests.
const targetVariable = "DEPLOYMENT_TEST_TARGET"

func TestMain(m *testing.M) {
	if target := os.Getenv(targetVariable); target != "" {
		os.Exit(run(target, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// run is what the magefile does for a target, and how mage exits.
func run(target string, args []string) int {
	ctx, stop := interrupt.Context(context.Background())
	defer stop()
	settings, err := release.FromEnvironment(".", os.Stdout, os.Getenv)
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
		case "template":
			err = release.Template(ctx, settings, os.Stdout)
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
