// Command build compiles and packages the functions.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/userrequestapi/userdata/deploy/build"
	"github.com/userrequestapi/userdata/deploy/host/program"
)

// packages is the folder for archives that [pack] writes.
const packages = "bin/packages"

func main() {
	program.Main(map[string]program.Target{
		"build":   func(ctx context.Context, _ []string) error { return compile(ctx) },
		"package": func(ctx context.Context, _ []string) error { return pack(ctx) },
	})
}

// compile compiles the functions into bin, for this machine or the environment variable TARGET, such as linux/arm64.
func compile(ctx context.Context) error {
	target, err := target(build.Host())
	if err != nil {
		return err
	}
	_, err = functions(ctx, target, "bin", os.Stdout)
	return err
}

// pack compiles the functions for Lambda, on arm64 unless TARGET names another, and archives each in bin/packages as
// <function>_<system>_<architecture>.zip, whose SHA-256 it prints as sha256sum does.
func pack(ctx context.Context) error {
	target, err := target(build.Target{OS: "linux", Arch: "arm64"})
	if err != nil {
		return err
	}
	artifacts, err := functions(ctx, target, filepath.Join(packages, target.OS+"_"+target.Arch), os.Stderr)
	if err != nil {
		return err
	}
	for _, artifact := range artifacts {
		archive, err := build.PackageFunction(artifact)
		if err != nil {
			return err
		}
		name := strings.Join([]string{artifact.Name, target.OS, target.Arch}, "_") + ".zip"
		if err := os.Rename(archive.Path, filepath.Join(packages, name)); err != nil {
			return fmt.Errorf("package %s: %w", artifact.Name, err)
		}
		fmt.Printf("%s  %s\n", archive.SHA256, name)
	}
	return nil
}

// target returns the target that TARGET names, or byDefault.
func target(byDefault build.Target) (build.Target, error) {
	return build.ParseTarget(cmp.Or(os.Getenv("TARGET"), byDefault.String()))
}

// functions compiles the functions into the folder out, and reports each to progress.
func functions(ctx context.Context, target build.Target, out string, progress io.Writer) ([]build.Artifact, error) {
	found, err := build.Find(program.Root)
	if err != nil {
		return nil, err
	}
	return build.Functions(ctx, found, build.Options{
		Root:   program.Root,
		Out:    out,
		Target: target,
		Progress: func(a build.Artifact) {
			_, _ = fmt.Fprintf(progress, "%s (%.1f MB, %v)\n", filepath.Join(out, a.Name, build.Executable),
				float64(a.Size)/1e6, a.Took.Round(10*time.Millisecond))
		},
	})
}
