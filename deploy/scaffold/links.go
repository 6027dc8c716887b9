package scaffold

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/userrequestapi/userdata/deploy/docs/markdown"
)

// resolveLinks makes the links of the new project to files that it does not contain lead to the tools' repository.
func (p *project) resolveLinks(context.Context) error {
	ref := "main"
	if p.released != "" {
		ref = "deploy/" + p.released
	}
	return fs.WalkDir(os.DirFS(p.dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(name) != ".md" {
			return err
		}
		file := filepath.Join(p.dir, filepath.FromSlash(name))
		content, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("new project: %w", err)
		}
		resolved := markdown.Links(string(content), func(destination string) string {
			target := path.Join(path.Dir(name), destination)
			if strings.Contains(destination, ":") || exists(p.dir, target) {
				return destination
			}
			info, err := os.Stat(filepath.Join(p.Root, filepath.FromSlash(target)))
			switch {
			case err != nil:
				return destination // dead before
			case info.IsDir():
				return fmt.Sprintf("%s/tree/%s/%s", toolsRepository(), ref, target)
			}
			return fmt.Sprintf("%s/blob/%s/%s", toolsRepository(), ref, target)
		})
		info, err := entry.Info()
		if err == nil && resolved != string(content) {
			err = os.WriteFile(file, []byte(resolved), info.Mode().Perm())
		}
		return err
	})
}

// exists reports whether a project has a file or folder.
func exists(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name)))
	return !errors.Is(err, fs.ErrNotExist)
}
