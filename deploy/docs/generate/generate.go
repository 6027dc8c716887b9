// Package generate generates files from the API document: the operations of the Go client, and collections of requests
// to try out the API.
package generate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/docs/generate/collection"
	"github.com/userrequestapi/userdata/deploy/host/process"
)

// clientConfig is the configuration of oapi-codegen, relative to the workspace.
const clientConfig = "shared/client/api/oapi-codegen.yaml"

// unsafe matches what the names of files do not have.
var unsafe = regexp.MustCompile(`[^A-Za-z0-9]+`)

// File is a generated file.
type File struct {
	Path    string // relative to the workspace, with slashes
	Content []byte
}

// All writes the generated files of the workspace root, and prints the paths of those that have changed to out.
func All(ctx context.Context, root string, out io.Writer) error {
	changed, err := stale(ctx, root)
	if err != nil {
		return err
	}
	for _, f := range changed {
		path := filepath.Join(root, filepath.FromSlash(f.Path))
		//nolint:gosec // they are as public as the rest of the source
		err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, f.Content, 0o644))
		if err != nil {
			return fmt.Errorf("write a generated file: %w", err)
		}
		if _, err := fmt.Fprintln(out, f.Path); err != nil {
			return fmt.Errorf("print the path of a generated file: %w", err)
		}
	}
	return nil
}

// Stale returns the paths of the generated files that differ from what [All] would write, relative to the workspace,
// with slashes.
func Stale(ctx context.Context, root string) ([]string, error) {
	changed, err := stale(ctx, root)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, f := range changed {
		paths = append(paths, f.Path)
	}
	return paths, nil
}

// stale returns the generated files of the workspace that are out of date.
func stale(ctx context.Context, root string) ([]File, error) {
	document, err := contract.Read(os.DirFS(filepath.Join(root, "deploy")))
	if err != nil {
		return nil, err
	}
	return Changed(ctx, root, document)
}

// Changed generates the files from an API document, which need not be that of the workspace, and returns those that
// differ from the files of the workspace.
func Changed(ctx context.Context, root string, document *contract.Document) ([]File, error) {
	generated, err := files(ctx, root, document)
	if err != nil {
		return nil, err
	}
	var changed []File
	for _, f := range generated {
		present, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(f.Path)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read a generated file: %w", err)
		}
		if err != nil || !bytes.Equal(present, f.Content) {
			changed = append(changed, f)
		}
	}
	return changed, nil
}

// files generates all files.
func files(ctx context.Context, root string, document *contract.Document) ([]File, error) {
	operations, err := client(ctx, root, document.Public())
	if err != nil {
		return nil, err
	}
	requests := collection.New(document)
	name := strings.Trim(unsafe.ReplaceAllString(document.Name(), "-"), "-")
	return []File{
		{"shared/client/api/operations.go", operations},
		{"docs/api/" + name + ".http", requests.HTTP()},
		{"docs/api/" + name + ".postman_collection.json", requests.Postman()},
	}, nil
}

// client generates the operations of the Go client with the version of oapi-codegen in go.mod.
func client(ctx context.Context, root string, document *contract.Public) (source []byte, err error) {
	dir, err := os.MkdirTemp("", "generate-")
	if err != nil {
		return nil, fmt.Errorf("generate the Go client: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, contract.File)
	if err := os.WriteFile(path, document.YAML(), 0o600); err != nil {
		return nil, fmt.Errorf("generate the Go client: %w", err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("go", "tool", "oapi-codegen", "-config", clientConfig, path)
	cmd.Dir, cmd.Stdout, cmd.Stderr = root, &stdout, &stderr
	if err := process.Run(ctx, cmd); err != nil {
		return nil, fmt.Errorf("generate the Go client: oapi-codegen with %s: %w: %s",
			clientConfig, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}
