// Command local runs the local stack.
package main

import (
	"context"

	"github.com/userrequestapi/userdata/deploy/host/program"
	"github.com/userrequestapi/userdata/deploy/local"
)

func main() {
	program.Main(map[string]program.Target{
		"run": func(ctx context.Context, _ []string) error { return local.Run(ctx, program.Root) },
		"debug": program.WithArgument("a function", func(ctx context.Context, function string) error {
			return local.Debug(ctx, program.Root, function)
		}),
	})
}
