// Command new adds to a project, and makes new ones from it.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/userrequestapi/userdata/deploy/host/program"
	"github.com/userrequestapi/userdata/deploy/scaffold"
	"github.com/userrequestapi/userdata/deploy/scaffold/route"
)

func main() {
	program.Main(map[string]program.Target{"function": function, "project": project})
}

func function(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("want a name, a method and a path, such as orders GET /users/{userId}/orders, got %q", args)
	}
	return route.Function{Name: args[0], Method: args[1], Path: args[2]}.Add(ctx, program.Root, os.Stdout)
}

func project(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("want a folder, a module path and the name of an API, got %q", args)
	}
	root, err := filepath.Abs(program.Root)
	if err != nil {
		return fmt.Errorf("find this project: %w", err)
	}
	if err := os.Chdir(program.StartFolder()); err != nil {
		return fmt.Errorf("enter the folder in which mage was started: %w", err)
	}
	return scaffold.Project(ctx, scaffold.ProjectOptions{
		Root: root, Dir: args[0], Module: args[1], Name: args[2],
		Table: os.Getenv("TABLE"), Owner: os.Getenv("OWNER"), Tools: os.Getenv("TOOLS"),
		Out: os.Stdout,
	})
}
