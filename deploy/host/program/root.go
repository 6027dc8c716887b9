package program

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// FindRoot returns the folder of the workspace: the working directory or its nearest parent with a go.work.
func FindRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the workspace: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find the workspace: no go.work in this folder or its parents")
		}
		dir = parent
	}
}
