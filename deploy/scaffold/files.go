package scaffold

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/userrequestapi/userdata/deploy/host/process"
)

// Files returns the files of the git repository at root that are tracked or not ignored, sorted, relative to root and
// with slashes. Files that are deleted in the work tree are omitted.
func Files(ctx context.Context, root string) ([]string, error) {
	return listFiles(ctx, root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
}

// sourceFiles returns the files of the project at root that git tracks, in the form of [Files], and in left the files,
// and folders with a slash, that git neither tracks nor ignores. Without a git repository, files are those that no
// .gitignore excludes, and left is nil.
func sourceFiles(ctx context.Context, root string) (files, left []string, err error) {
	tracked, err := isTracked(ctx, root)
	if err != nil {
		return nil, nil, err
	}
	if !tracked {
		files, err = filesWithoutRepository(ctx, root)
		return files, nil, err
	}
	if files, err = listFiles(ctx, root, "ls-files", "-z", "--cached", "--deduplicate"); err != nil {
		return nil, nil, err
	}
	left, err = listFiles(ctx, root, "ls-files", "-z", "--others", "--exclude-standard", "--directory")
	if err != nil {
		return nil, nil, err
	}
	return files, left, checkModules(root, files)
}

// isTracked reports whether the project is in a git repository.
func isTracked(ctx context.Context, root string) (bool, error) {
	_, failed := git(ctx, root, "rev-parse", "--git-dir")
	if failed == nil {
		return true, nil
	}
	if ctx.Err() != nil {
		return false, fmt.Errorf("new project: %w", context.Cause(ctx))
	}
	// git fails in a repository, too, such as one of another user: its untracked files must not be copied.
	if _, err := os.Lstat(filepath.Join(root, ".git")); !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("new project: %w", failed)
	}
	return false, nil
}

// filesWithoutRepository returns the files at root that no .gitignore excludes.
func filesWithoutRepository(ctx context.Context, root string) (files []string, err error) {
	empty, err := os.MkdirTemp("", "new-project-")
	if err != nil {
		return nil, fmt.Errorf("new project: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(empty)) }()
	if root, err = filepath.Abs(root); err != nil {
		return nil, fmt.Errorf("new project: %w", err)
	}
	if _, err := git(ctx, empty, "init", "--quiet", "--bare"); err != nil {
		return nil, fmt.Errorf("new project: %w", err)
	}
	return listFiles(ctx, root,
		"--git-dir="+empty, "--work-tree="+root, "ls-files", "-z", "--others", "--exclude-standard")
}

// listFiles returns the existing files that a git command lists, sorted.
func listFiles(ctx context.Context, root string, args ...string) ([]string, error) {
	listed, err := git(ctx, root, args...)
	if err != nil {
		return nil, fmt.Errorf("list the files of this project: %w", err)
	}
	var files []string
	for name := range strings.SplitSeq(listed, "\x00") {
		if _, err := os.Lstat(filepath.Join(root, name)); name != "" && err == nil {
			files = append(files, name)
		}
	}
	slices.Sort(files)
	return files, nil
}

// checkModules checks that git tracks the modules of the workspace: a new project without them would be incomplete.
func checkModules(root string, tracked []string) error {
	const workspace = "go.work"
	content, err := os.ReadFile(filepath.Join(root, workspace))
	if err != nil {
		return fmt.Errorf("new project: %w", err)
	}
	work, err := modfile.ParseWork(workspace, content, nil)
	if err != nil {
		return fmt.Errorf("new project: %w", err)
	}
	for _, use := range work.Use {
		if module := path.Clean(use.Path); !slices.Contains(tracked, path.Join(module, "go.mod")) {
			return fmt.Errorf("new project: git does not track the module %s, which %s lists: run git add %s, or remove it",
				module, workspace, module)
		}
	}
	return nil
}

// git runs git in dir, whatever repository the environment names.
func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "GIT_DIR=") || strings.HasPrefix(variable, "GIT_WORK_TREE=") ||
			strings.HasPrefix(variable, "GIT_INDEX_FILE=")
	})
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := process.Run(ctx, cmd); err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.Join(strings.Fields(stderr.String()), " "))
	}
	return stdout.String(), nil
}
