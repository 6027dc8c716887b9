// Command observe shows the traces and logs of deployed stages.
package main

import (
	"context"
	"os"

	"github.com/userrequestapi/userdata/deploy/program"
	"github.com/userrequestapi/userdata/deploy/telemetry"
)

func main() {
	program.Main(map[string]program.Target{"traces": observe(telemetry.Traces), "logs": observe(telemetry.Logs)})
}

func observe(target func(context.Context, telemetry.Settings) error) program.Target {
	return func(ctx context.Context, _ []string) error {
		settings, err := telemetry.FromEnvironment(program.Root, os.Stdout, os.Getenv)
		if err != nil {
			return err
		}
		return target(ctx, settings)
	}
}
