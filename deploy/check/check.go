// Package check tests, fuzzes and lints all modules of a Go workspace.
package check

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/userrequestapi/userdata/deploy/host/process"
)

// everything is the package pattern for all modules of the workspace.
const everything = "work"

// command is a program to run in a folder.
type command struct {
	dir  string
	env  []string // added to the environment of this process
	args []string // the program first
}

// run runs the program with the given output. The error begins with the name of the program.
func (c command) run(ctx context.Context, stdout, stderr io.Writer) error {
	cmd := exec.Command(c.args[0], c.args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.dir, stdout, stderr
	cmd.Env = append(os.Environ(), c.env...)
	if err := process.Run(ctx, cmd); err != nil {
		name := filepath.Base(c.args[0])
		if name == "go" {
			name += " " + c.args[1]
		}
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// output returns the standard output of the program. The error contains all of its output.
func (c command) output(ctx context.Context) (string, error) {
	var stdout, stderr bytes.Buffer
	if err := c.run(ctx, &stdout, &stderr); err != nil {
		return "", fmt.Errorf("%w\n%s%s", err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.String(), nil
}

// modules returns the folders of the workspace's modules, relative to root.
func modules(ctx context.Context, root string) (dirs []string, err error) {
	listed, err := list(ctx, root, "-m", "-f", "{{.Dir}}\t{{.Path}}")
	if err != nil {
		return nil, fmt.Errorf("list the modules of the workspace: %w", err)
	}
	for _, module := range listed {
		dirs = append(dirs, module.dir)
	}
	return dirs, nil
}

// listed is a module or package of the workspace.
type listed struct {
	dir  string // relative to the root
	path string
}

// list runs go list with a format of two columns: the folder and the path.
func list(ctx context.Context, root string, args ...string) (all []listed, err error) {
	lines, err := command{dir: root, args: append([]string{"go", "list"}, args...)}.output(ctx)
	if err != nil {
		return nil, err
	}
	// The go command prints absolute paths without symbolic links.
	if root, err = filepath.Abs(root); err == nil {
		root, err = filepath.EvalSymlinks(root)
	}
	for line := range strings.Lines(lines) {
		dir, path, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if err == nil {
			dir, err = filepath.Rel(root, dir)
		}
		all = append(all, listed{dir, path})
	}
	return all, err
}
