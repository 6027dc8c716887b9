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
func modules(ctx context.Context, root string) ([]string, error) {
	listed, err := command{dir: root, args: []string{"go", "list", "-m", "-f", "{{.Dir}}"}}.output(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the modules of the workspace: %w", err)
	}
	if root, err = realPath(root); err != nil {
		return nil, fmt.Errorf("list the modules of the workspace: %w", err)
	}
	var dirs []string
	for dir := range strings.Lines(listed) {
		dir, err := filepath.Rel(root, strings.TrimSpace(dir))
		if err != nil {
			return nil, fmt.Errorf("list the modules of the workspace: %w", err)
		}
		dirs = append(dirs, dir)
	}
	return dirs, nil
}

// realPath returns the absolute path of a folder without symbolic links, as the go command prints it.
func realPath(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(dir)
}
