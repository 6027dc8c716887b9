// Command observe shows the traces and logs of deployed stages and of the local stack.
package main

import (
	"context"
	"os"

	"github.com/userrequestapi/userdata/deploy/host/program"
	"github.com/userrequestapi/userdata/deploy/observe"
)

func main() {
	program.Main(map[string]program.Target{"traces": show(observe.Traces), "logs": show(observe.Logs)})
}

func show(target func(context.Context, observe.Settings) error) program.Target {
	return func(ctx context.Context, _ []string) error {
		settings, err := observe.FromEnvironment(program.Root, os.Stdout, os.Getenv)
		if err != nil {
			return err
		}
		return target(ctx, settings)
	}
}
