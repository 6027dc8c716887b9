// Command build compiles the functions.
package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/userrequestapi/userdata/deploy/build"
	"github.com/userrequestapi/userdata/deploy/program"
)

func main() { program.Main(map[string]program.Target{"build": functions}) }

// functions compiles the functions into bin for the environment variable TARGET, such as linux/arm64.
func functions(ctx context.Context, _ []string) error {
	target, err := build.ParseTarget(cmp.Or(os.Getenv("TARGET"), build.Host().String()))
	if err != nil {
		return err
	}
	found, err := build.Find(program.Root)
	if err != nil {
		return err
	}
	_, err = build.Functions(ctx, found, build.Options{
		Root:   program.Root,
		Out:    "bin",
		Target: target,
		Progress: func(a build.Artifact) {
			fmt.Printf("%s (%.1f MB, %v)\n", filepath.Join("bin", a.Name, build.Executable),
				float64(a.Size)/1e6, a.Took.Round(10*time.Millisecond))
		},
	})
	return err
}
