package scaffold

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/userrequestapi/userdata/deploy/host/command"
)

// ProjectOptions configure [Project].
type ProjectOptions struct {
	Root   string // of the project from which the new one is made
	Dir    string // of the new project: does not exist, or is empty
	Module string // path of the new project's root module, such as example.com/acme/people
	Name   string // of the new project's API, such as PeopleAPI
	Table  string // of the stage prod; "" derives it from Name, such as PeopleData
	Owner  string // on GitHub, such as @acme/people; "" derives it from Module, such as @acme
	Tools  string // version of the tools, such as v0.2.0; "" means the version that the project at Root uses
	Out    io.Writer
}

// Project makes a new project from the one at options.Root: it copies the files that belong to a project, renames the
// modules, the API, its table and its links, and starts a git history. The tools do not become a part of the new
// project, which requires their module. If Project fails, or ctx ends, it leaves nothing behind.
func Project(ctx context.Context, options ProjectOptions) (err error) {
	from, err := readIdentity(options.Root)
	if err != nil {
		return err
	}
	to, err := from.derive(options)
	if err != nil {
		return err
	}
	dir, err := checkNew(options.Root, options.Dir)
	if err != nil {
		return err
	}
	files, left, err := sourceFiles(ctx, options.Root)
	if err != nil {
		return err
	}
	travels := travelsFrom(options.Root)
	stays := func(name string) bool { return !travels(name) }
	files, left = slices.DeleteFunc(files, stays), slices.DeleteFunc(left, stays)
	// Files are written to a folder beside the new one: relative paths in them are the same, and a failure leaves no
	// partial project.
	fresh, remove, err := makeBeside(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove(err)) }()
	renamer := newRenamer(from, to, travels)
	p := &project{ProjectOptions: options, dir: fresh, to: to, renamer: renamer}
	if len(left) > 0 {
		p.notes = append(p.notes, fmt.Sprintf("Not copied, because git does not track them here: %s.", summarize(left)))
	}
	for i, table := range to.tables {
		if table == from.tables[i] {
			p.notes = append(p.notes, fmt.Sprintf("The table %s keeps its name. "+
				"To deploy both projects to one account, give it another in deploy/template.yaml.", table))
		}
	}
	p.printf("Copying %d files…", len(files))
	for _, name := range files {
		if ctx.Err() != nil {
			return fmt.Errorf("new project: %w", context.Cause(ctx))
		}
		if err := p.copy(name); err != nil {
			return fmt.Errorf("new project: %s: %w", name, err)
		}
	}
	steps := []func(context.Context) error{p.writeFresh, p.modules, p.dependabot, p.resolveLinks, p.check, p.commit}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if err := os.Rename(fresh, dir); err != nil {
		return fmt.Errorf("new project: %w", err)
	}
	p.printNext()
	return nil
}

// project is a new project while it is made.
type project struct {
	ProjectOptions

	dir      string // in which it is made
	to       identity
	renamer  renamer
	released string // version of the tools that it requires, or "" if a folder replaces their module
	local    string // the folder that replaces the tools' module, relative to the new project; "" if none does
	notes    []string
}

func (p *project) printf(format string, args ...any) { _, _ = fmt.Fprintf(p.Out, format+"\n", args...) }

// checkNew returns the absolute path of the new project's folder.
func checkNew(root, dir string) (string, error) {
	if dir == "" {
		return "", errors.New("DIR: want the folder of the new project, such as ../people")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("DIR: %w", err)
	}
	if root, err = filepath.Abs(root); err != nil {
		return "", fmt.Errorf("DIR: %w", err)
	}
	if inside, err := filepath.Rel(resolve(root), resolve(dir)); err == nil && filepath.IsLocal(inside) {
		return "", fmt.Errorf("DIR: want a folder outside of this project, such as %s, got %s",
			filepath.Join("..", filepath.Base(dir)), dir)
	}
	switch entries, err := os.ReadDir(dir); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return "", fmt.Errorf("DIR: want a new or empty folder: %w", err)
	case len(entries) > 0:
		return "", fmt.Errorf("DIR: want a new or empty folder, but %s contains %s", dir, entries[0].Name())
	}
	return dir, nil
}

// resolve returns dir without symbolic links. Its last elements need not exist.
func resolve(dir string) string {
	if resolved, err := filepath.EvalSymlinks(dir); err == nil {
		return resolved
	}
	parent := filepath.Dir(dir)
	if parent == dir {
		return dir
	}
	return filepath.Join(resolve(parent), filepath.Base(dir))
}

// makeBeside makes a temporary folder beside dir. remove removes it if it is still there, and after an error also the
// parents of dir that makeBeside has created.
func makeBeside(dir string) (fresh string, remove func(error) error, err error) {
	parent := filepath.Dir(dir)
	created := "" // the topmost folder that does not exist yet
	for folder := parent; ; folder = filepath.Dir(folder) {
		if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		created = folder
	}
	remove = func(failed error) error {
		if failed != nil && created != "" {
			return os.RemoveAll(created)
		}
		return os.RemoveAll(fresh)
	}
	if err = os.MkdirAll(parent, 0o755); err == nil {
		fresh, err = os.MkdirTemp(parent, "."+filepath.Base(dir)+"-")
	}
	if err == nil {
		err = os.Chmod(fresh, 0o755) //nolint:gosec // as above
	}
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("new project: %w", err), remove(err))
	}
	return fresh, remove, nil
}

// travelsFrom returns a function that reports whether a file of the project at root belongs to a new one. Where the
// tools are a part of the project, they stay behind, with their workflow.
func travelsFrom(root string) func(name string) bool {
	_, err := os.Stat(filepath.Join(root, "deploy", "go.mod"))
	tools := err == nil
	return func(name string) bool {
		switch {
		case name == readme, name == changelog, strings.HasPrefix(name, decisions+"/"):
			return false // written afresh
		case !tools:
			return true
		case strings.HasPrefix(name, "deploy/") && !strings.HasPrefix(name, "deploy/stages/"):
			extension := filepath.Ext(name)
			return strings.Count(name, "/") == 1 && (extension == ".yaml" || extension == ".json")
		}
		return name != ".github/workflows/tools.yml"
	}
}

// summarize lists at most ten names.
func summarize(names []string) string {
	const most = 10
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// copy copies a file with its new name and content. A symbolic link remains one.
func (p *project) copy(name string) error {
	source := filepath.Join(p.Root, filepath.FromSlash(name))
	info, err := os.Lstat(source)
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(source)
		if err != nil {
			return err
		}
		link := filepath.Join(p.dir, filepath.FromSlash(p.renamer.text(name)))
		return errors.Join(os.MkdirAll(filepath.Dir(link), 0o755), os.Symlink(p.renamer.text(target), link))
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("want a regular file, got %v", info.Mode())
	}
	content, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	if content, err = p.renamer.file(name, content); err != nil {
		return err
	}
	return p.write(p.renamer.text(name), content, info.Mode().Perm())
}

// write writes a file of the new project, and creates its folder.
func (p *project) write(name string, content []byte, mode fs.FileMode) error {
	file := filepath.Join(p.dir, filepath.FromSlash(name))
	return errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, content, mode))
}

// Files of a new project that are not copies.
const (
	readme    = "README.md"
	changelog = "CHANGELOG.md"
	decisions = "docs/decisions"
)

//go:embed project
var fresh embed.FS

// writeFresh writes the files that a project begins with, with its names.
func (p *project) writeFresh(context.Context) error {
	for source, target := range map[string]string{
		"project/README.md":    readme,
		"project/CHANGELOG.md": changelog,
		"project/decisions.md": decisions + "/README.md",
	} {
		content, err := fresh.ReadFile(source)
		if err != nil {
			return fmt.Errorf("new project: %w", err)
		}
		text := strings.NewReplacer("{{name}}", p.to.name, "{{tools}}", toolsRepository()).
			Replace(string(content))
		if err := p.write(target, []byte(text), 0o644); err != nil {
			return fmt.Errorf("new project: %w", err)
		}
	}
	return nil
}

// dependabot removes the folders without dependencies in the new project from the settings of Dependabot.
func (p *project) dependabot(context.Context) error {
	const name = ".github/dependabot.yml"
	content, err := os.ReadFile(filepath.Join(p.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		content, err = dropAbsent(content, func(folder string) bool {
			return slices.ContainsFunc([]string{"go.mod", "package.json", "requirements.txt"}, func(file string) bool {
				found, err := fs.Glob(os.DirFS(p.dir), path.Join(".", folder, file))
				return err != nil || len(found) > 0
			})
		})
	}
	if err == nil {
		err = p.write(name, content, 0o644)
	}
	if err != nil {
		return fmt.Errorf("new project: %s: %w", name, err)
	}
	return nil
}

// check returns an error that names the first place in which the identity of the old project is left. Binary files,
// which are copied unchanged, only get a note.
func (p *project) check(context.Context) error {
	files := os.DirFS(p.dir)
	return fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("new project: %w", err)
		}
		if old := p.renamer.left(name); old != "" {
			return fmt.Errorf("new project: the name of %s still contains %s", name, old)
		}
		if !entry.Type().IsRegular() { // the targets of links are names
			return nil
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return fmt.Errorf("new project: %w", err)
		}
		if isBinary(content) {
			if old := p.renamer.left(string(content)); old != "" {
				p.notes = append(p.notes, fmt.Sprintf("%s still contains %s: it is no text, and was copied unchanged.", name, old))
			}
			return nil
		}
		number := 0
		for line := range strings.Lines(string(content)) {
			number++
			if old := p.renamer.left(line); old != "" {
				return fmt.Errorf("new project: %s:%d still contains %s: %s", name, number, old, strings.TrimSpace(line))
			}
		}
		return nil
	})
}

// commit starts the git history of the new project. If git fails, for example for lack of the user's name, it
// leaves the commit to the user.
func (p *project) commit(ctx context.Context) error {
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=main"},
		{"add", "--all"},
		{
			"-c", "commit.gpgSign=false", "commit", "--quiet", "--no-verify",
			"--message", "Start " + p.to.name, "--message", "Made with go tool mage new:project.",
		},
	} {
		_, err := git(ctx, p.dir, args...)
		if ctx.Err() != nil {
			return fmt.Errorf("new project: %w", context.Cause(ctx))
		}
		if err != nil {
			p.notes = append(p.notes, fmt.Sprintf("The project has no commit yet (%v). Run there: git commit -m %s",
				err, command.Quote("Start "+p.to.name)))
			return nil
		}
	}
	return nil
}

// printNext prints what the user can do with the new project.
func (p *project) printNext() {
	for _, note := range p.notes {
		p.printf("%s", note)
	}
	p.printf("%s is in %s. Start it:\n\n  cd %s\n  go tool mage run\n", p.to.name, p.Dir, command.Quote(p.Dir))
	if p.local != "" {
		p.printf("It uses the tools in %s. Before others use the project, require a released version of the tools:\n"+
			"docs/new-project.md in the project says how.\n", p.local)
		return
	}
	p.printf("Its tools are version %s. To upgrade them, run there:\n\n  go get %s@latest\n",
		p.released, toolsModule)
}
