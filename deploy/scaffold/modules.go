package scaffold

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"

	"github.com/userrequestapi/userdata/deploy/build"
)

// modules makes the modules of the new project require the tools: as the old project does, or the version Tools.
func (p *project) modules(ctx context.Context) error {
	if p.Tools != "" && semver.Canonical(p.Tools) != p.Tools {
		return fmt.Errorf("TOOLS: want a version, such as v0.2.0, got %q", p.Tools)
	}
	root, err := readModule(filepath.Join(p.Root, "go.mod"))
	if err != nil {
		return err
	}
	for _, required := range root.Require {
		if required.Mod.Path == toolsModule {
			p.released = required.Mod.Version
		}
	}
	if p.released == "" {
		return fmt.Errorf("new project: go.mod does not require %s: run go get %[1]s", toolsModule)
	}
	for _, replaced := range root.Replace {
		if replaced.Old.Path == toolsModule && modfile.IsDirectoryPath(replaced.New.Path) {
			p.local = replaced.New.Path
		}
	}
	if p.Tools != "" {
		p.released, p.local = p.Tools, ""
	}
	if p.local != "" {
		if p.local, err = relocate(p.Root, p.dir, p.local); err != nil {
			return err
		}
		p.released = ""
	}
	return p.eachModule(func(file string) error { return p.module(ctx, file) })
}

// relocate converts a path that is relative to the folder from to one that is relative to the folder to.
func relocate(from, to, path string) (string, error) {
	if filepath.IsAbs(path) {
		return path, nil
	}
	from, err := filepath.Abs(from)
	if err != nil {
		return "", fmt.Errorf("locate the tools: %w", err)
	}
	relative, err := filepath.Rel(to, filepath.Join(from, filepath.FromSlash(path)))
	if err != nil {
		return "", fmt.Errorf("locate the tools: %w", err)
	}
	return filepath.ToSlash(relative), nil
}

// eachModule calls visit for each go.mod file of the new project.
func (p *project) eachModule(visit func(file string) error) error {
	return filepath.WalkDir(p.dir, func(file string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == "go.mod" {
			err = visit(file)
		}
		return err
	})
}

// module makes a module require the tools, if it does.
func (p *project) module(ctx context.Context, file string) error {
	mod, err := readModule(file)
	if err != nil {
		return err
	}
	requires := false
	for _, required := range mod.Require {
		requires = requires || required.Mod.Path == toolsModule
	}
	if !requires {
		return nil
	}
	dir := filepath.Dir(file)
	// All modules require the same version, even if a replacement ignores it.
	err = errors.Join(mod.DropReplace(toolsModule, ""), mod.AddRequire(toolsModule, cmp.Or(p.released, "v0.0.0")))
	if p.local != "" {
		local, failed := relocate(p.dir, dir, p.local)
		err = errors.Join(err, failed, mod.AddReplace(toolsModule, "", local, ""))
	}
	mod.Cleanup()
	content, failed := mod.Format()
	if err := errors.Join(err, failed); err != nil {
		return fmt.Errorf("new project: %s: %w", file, err)
	}
	if err := os.WriteFile(file, content, 0o644); err != nil { //nolint:gosec // as git creates it
		return fmt.Errorf("new project: %w", err)
	}
	if p.Tools == "" {
		return nil // the checksums are those of the old project
	}
	p.printf("Resolving %s@%s in %s…", toolsModule, p.Tools, mod.Module.Mod.Path)
	if err := build.Tidy(ctx, dir); err != nil {
		return fmt.Errorf("new project: with %s@%s: %w", toolsModule, p.Tools, err)
	}
	return nil
}

// readModule reads a go.mod file.
func readModule(file string) (*modfile.File, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("new project: %w", err)
	}
	parsed, err := modfile.Parse(file, content, nil)
	if err != nil {
		return nil, fmt.Errorf("new project: %w", err)
	}
	return parsed, nil
}
