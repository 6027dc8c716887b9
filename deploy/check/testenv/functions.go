package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/userrequestapi/userdata/deploy/build"
)

// Functions builds the functions of the workspace at root as for a deployment and sets [FunctionsVariable], unless it
// is set. stop removes the executables.
func Functions(ctx context.Context, root string) (stop func() error, err error) {
	if os.Getenv(FunctionsVariable) != "" {
		return func() error { return nil }, nil
	}
	dir, err := os.MkdirTemp("", "userdata-functions-")
	if err != nil {
		return nil, fmt.Errorf("build functions: %w", err)
	}
	remove := func() error { return os.RemoveAll(dir) }
	functions, err := build.Find(root)
	if err == nil {
		err = BuildFunctions(ctx, functions, root, dir)
	}
	if err == nil {
		err = os.Setenv(FunctionsVariable, dir)
	}
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	return remove, nil
}

// BuildFunctions builds functions of the workspace at root into dir, as [FunctionsVariable] describes.
func BuildFunctions(ctx context.Context, functions []build.Module, root, dir string) error {
	for i := range functions {
		functions[i].Name = functions[i].LogicalID
	}
	_, err := build.Functions(ctx, functions, build.Options{Root: root, Out: dir})
	return err
}
