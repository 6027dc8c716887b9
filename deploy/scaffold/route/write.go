package route

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// file is a file of a project.
type file struct {
	path    string // relative to the project, with slashes
	content []byte
}

// mode is that of the files: they are as public as the rest of the source.
const mode = 0o644

// write writes files, and makes their folders. If one cannot be written, it restores those that it has written.
func write(root string, files []file) error {
	var undo []func() error
	for _, f := range files {
		restored, err := replace(filepath.Join(root, filepath.FromSlash(f.path)), f.content)
		undo = append(undo, restored...)
		if err == nil {
			continue
		}
		err = fmt.Errorf("write %s: %w", f.path, err)
		for _, step := range slices.Backward(undo) {
			err = errors.Join(err, step())
		}
		return err
	}
	return nil
}

// replace writes a file and makes its folder. It returns the steps that undo what it did, even if it returns an error.
func replace(name string, content []byte) (undo []func() error, err error) {
	dir := filepath.Dir(name)
	for parent := dir; ; parent = filepath.Dir(parent) {
		present, err := exists(parent)
		if err != nil {
			return nil, err
		}
		if present {
			break
		}
		undo = append([]func() error{func() error { return os.Remove(parent) }}, undo...)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	before, err := os.ReadFile(name)
	switch {
	case err == nil:
		undo = append(undo, func() error { return os.WriteFile(name, before, mode) })
	case errors.Is(err, os.ErrNotExist):
		undo = append(undo, func() error { return os.RemoveAll(name) })
	default:
		return undo, err
	}
	return undo, os.WriteFile(name, content, mode)
}
