// Command docs writes the outputs of the API document: the static site, the Go client and the collections.
package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/userrequestapi/userdata/deploy/docs/generate"
	"github.com/userrequestapi/userdata/deploy/docs/site"
	"github.com/userrequestapi/userdata/deploy/host/program"
)

func main() {
	program.Main(map[string]program.Target{
		"generate": func(ctx context.Context, _ []string) error { return generate.All(ctx, program.Root, os.Stdout) },
		"site": func(ctx context.Context, _ []string) error {
			return site.Write(ctx, site.Options{
				Root:     program.Root,
				Out:      cmp.Or(os.Getenv("OUT"), filepath.Join("bin", "site")),
				Progress: func(step string) { fmt.Println(step) },
			})
		},
	})
}
