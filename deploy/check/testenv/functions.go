package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/userrequestapi/userdata/deploy/build"
	"github.com/userrequestapi/userdata/deploy/host/program"
)

// Functions builds the functions of the workspace at root as for a deployment and sets [FunctionsVariable], unless it
// is set. stop removes the executables.
func Functions(ctx context.Context, root string) (stop func() error, err error) {
	if os.Getenv(FunctionsVariable) != "" {
		return func() error { return nil }, nil
	}
	dir, err := os.MkdirTemp("", "functions-")
	if err != nil {
		return nil, fmt.Errorf("build functions: %w", err)
	}
	remove := func() error { return os.RemoveAll(dir) }
	functions, err := build.Find(root)
	if err == nil {
		err = BuildFunctions(ctx, functions, build.Options{Root: root, Out: dir})
	}
	if err == nil {
		err = os.Setenv(FunctionsVariable, dir)
	}
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	return remove, nil
}

// FixtureFunctions builds the functions of another workspace, at root, and sets [FunctionsVariable]. The executables
// stay in the folder bin of this workspace, and only those that are out of date are built again: all packages whose
// tests use the fixture, and all runs, share them.
func FixtureFunctions(ctx context.Context, root string) (err error) {
	workspace, err := program.FindRoot()
	if err != nil {
		return err
	}
	if root, err = filepath.Abs(root); err != nil {
		return fmt.Errorf("build functions: %w", err)
	}
	name, err := filepath.Rel(workspace, root)
	if err != nil {
		return fmt.Errorf("build functions: %w", err)
	}
	dir := filepath.Join(workspace, "bin", "fixtures", name)
	functions, err := build.Find(root)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(dir), 0o750)
	}
	if err != nil {
		return fmt.Errorf("build functions: %w", err)
	}
	lock := flock.New(dir + ".lock")
	if err := lock.Lock(); err != nil {
		return fmt.Errorf("build functions: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := BuildFunctions(ctx, functions, build.Options{Root: root, Out: dir, Update: true}); err != nil {
		return err
	}
	return os.Setenv(FunctionsVariable, dir)
}

// BuildFunctions builds functions of a workspace into options.Out, as [FunctionsVariable] describes.
func BuildFunctions(ctx context.Context, functions []build.Module, options build.Options) error {
	for i := range functions {
		functions[i].Name = functions[i].LogicalID
	}
	_, err := build.Functions(ctx, functions, options)
	return err
}
