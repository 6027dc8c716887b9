package program

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// startVariable is the environment variable with the folder in which the user has started mage.
const startVariable = "MAGE_START_FOLDER"

// StartFolder returns the folder in which the user has started mage, to which relative paths in arguments and settings
// belong.
func StartFolder() string {
	return cmp.Or(os.Getenv(startVariable), Root)
}

// EnterRoot changes to the folder of the workspace and returns it, see [FindRoot]. The programs that this process
// starts get the previous folder from [StartFolder].
func EnterRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("enter the workspace: %w", err)
	}
	root, err := FindRoot()
	if err != nil {
		return "", err
	}
	if err := errors.Join(os.Setenv(startVariable, start), os.Chdir(root)); err != nil {
		return "", fmt.Errorf("enter the workspace: %w", err)
	}
	return root, nil
}

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
