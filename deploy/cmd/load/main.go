// Command load sends a load to the local stack or to a deployed stage.
package main

import (
	"context"
	"os"

	"github.com/userrequestapi/userdata/deploy/host/program"
	"github.com/userrequestapi/userdata/deploy/load"
)

func main() {
	program.Main(map[string]program.Target{
		"load": func(ctx context.Context, _ []string) error {
			settings, err := load.FromEnvironment(program.Root, os.Stdout, os.Getenv)
			if err != nil {
				return err
			}
			return load.Load(ctx, settings)
		},
	})
}
