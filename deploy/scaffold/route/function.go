// Package route adds routes to a project, each with a function of its own.
package route

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/userrequestapi/userdata/deploy/build"
	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/docs/generate"
	"github.com/userrequestapi/userdata/deploy/template"
)

// The files of a project that a new function changes, relative to the project.
const (
	contractFile  = "deploy/" + contract.File
	templateFile  = "deploy/template.yaml"
	workspaceFile = "go.work"
)

// Function is a function of a project, which serves one route.
type Function struct {
	Name   string // of the function and its folder, such as orders
	Method string // such as GET, which adds HEAD, too
	Path   string // such as /users/{userId}/orders
}

// Add adds the function to the project in the folder root: its module, the route in the API document, the entry in the
// template, and the generated files. It prints what it has written and the next steps to out. If it returns an error,
// or ctx ends, the project is unchanged.
func (f Function) Add(ctx context.Context, root string, out io.Writer) (err error) {
	p, err := openProject(root)
	if err != nil {
		return fmt.Errorf("new function: %w", err)
	}
	r, err := p.route(f)
	if err != nil {
		return fmt.Errorf("new function: %w", err)
	}
	files, err := p.files(ctx, r)
	if err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = write(root, files)
	}
	if err != nil {
		return fmt.Errorf("new function: %w", err)
	}
	return r.report(out, files)
}

// report prints the written files and the next steps.
func (r *route) report(out io.Writer, files []file) error {
	var b strings.Builder
	b.WriteString("Written:\n")
	for _, f := range files {
		fmt.Fprintf(&b, "  %s\n", f.path)
	}
	fmt.Fprintf(&b, "\n%s %s is served by the function %s. Next:\n", r.Method, r.Path, r.Name)
	for _, step := range [][2]string{
		{r.folder() + "/" + r.Name + ".go", "change what the function does, and its responses in " + contractFile},
		{"go tool mage generate", "updates the client and the collections after a change of " + contractFile},
		{"go tool mage run", "serves the route: " + r.curl()},
		{"go tool mage test", "tests it; go tool mage lint checks it"},
	} {
		fmt.Fprintf(&b, "  %s\n      %s\n", step[0], step[1])
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return fmt.Errorf("print what was written: %w", err)
	}
	return nil
}

// curl returns a command that sends an example request to the local stack.
func (r *route) curl() string {
	command := "curl -s "
	if r.Method != http.MethodGet {
		command += "-X " + r.Method + " "
	}
	command += "http://127.0.0.1:3000/" + r.stage + r.Target()
	if r.HasBody() {
		command += " -H 'Content-Type: application/json' -d '" + r.Sent() + "'"
	}
	return command
}

// project is a project to which a function is added.
type project struct {
	root      string
	module    string // path of the root module
	document  *contract.Document
	contract  *source
	template  *source
	workspace *modfile.WorkFile
}

// openProject reads the project in the folder root.
func openProject(root string) (*project, error) {
	p := &project{root: root}
	read := func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(root, filepath.FromSlash(name))) }
	module, err := read("go.mod")
	if err != nil {
		return nil, err
	}
	if p.module = modfile.ModulePath(module); p.module == "" {
		return nil, errors.New("go.mod: want a module path")
	}
	workspace, err := read(workspaceFile)
	if err != nil {
		return nil, err
	}
	if p.workspace, err = modfile.ParseWork(workspaceFile, workspace, nil); err != nil {
		return nil, err
	}
	for _, document := range []struct {
		name   string
		parsed **source
	}{{contractFile, &p.contract}, {templateFile, &p.template}} {
		content, err := read(document.name)
		if err != nil {
			return nil, err
		}
		if *document.parsed, err = parseSource(document.name, content); err != nil {
			return nil, err
		}
	}
	if p.document, err = contract.Parse([]byte(p.contract.text)); err != nil {
		return nil, fmt.Errorf("%s: %w", contractFile, err)
	}
	return p, nil
}

// files returns the new and changed files of the project.
func (p *project) files(ctx context.Context, r *route) ([]file, error) {
	sources, document, err := p.sources(r)
	if err != nil {
		return nil, err
	}
	module, err := p.moduleFiles(ctx, r, sources)
	if err != nil {
		return nil, err
	}
	generated, err := generate.Changed(ctx, p.root, document)
	if err != nil {
		return nil, err
	}
	files := slices.Concat(sources, module)
	for _, g := range generated {
		files = append(files, file{g.Path, g.Content})
	}
	return files, nil
}

// sources returns the files of the project without those that follow from others, and the changed API document.
func (p *project) sources(r *route) ([]file, *contract.Document, error) {
	code, err := p.code(r)
	if err == nil {
		err = p.workspace.AddUse("./"+r.folder(), "")
	}
	if err != nil {
		return nil, nil, err
	}
	p.workspace.SortBlocks()
	if err := errors.Join(p.addRoute(r), p.addEntry(r)); err != nil {
		return nil, nil, err
	}
	document, err := p.check(r)
	return append(code,
		file{workspaceFile, modfile.Format(p.workspace.Syntax)},
		file{contractFile, p.contract.edited()},
		file{templateFile, p.template.edited()},
	), document, err
}

// check checks the changed documents: that the stage can be rendered, that the examples match their schemas, and that
// nothing but the new operations was added. It returns the changed API document.
func (p *project) check(r *route) (document *contract.Document, err error) {
	dir, err := os.MkdirTemp("", "new-function-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	err = errors.Join(
		os.WriteFile(filepath.Join(dir, path.Base(contractFile)), p.contract.edited(), 0o600),
		os.WriteFile(filepath.Join(dir, path.Base(templateFile)), p.template.edited(), 0o600),
	)
	if err != nil {
		return nil, err
	}
	changed, err := template.Load(os.DirFS(dir))
	if err == nil {
		_, err = changed.Render(template.Options{})
	}
	if err != nil {
		return nil, err
	}
	if document, err = contract.Read(os.DirFS(dir)); err != nil {
		return nil, err
	}
	if err := document.Validate(context.Background()); err != nil { // the examples, too
		return nil, fmt.Errorf("%s: %w", contractFile, err)
	}
	var got, want []string
	for _, o := range p.document.Routes() {
		want = append(want, o.Method+" "+o.Path)
	}
	for _, method := range r.methods() {
		want = append(want, method+" "+r.Path)
	}
	for _, o := range document.Routes() {
		got = append(got, o.Method+" "+o.Path)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		return nil, fmt.Errorf("%s: its layout is not supported: after the change, its operations are %s, want %s",
			contractFile, strings.Join(got, ", "), strings.Join(want, ", "))
	}
	return document, nil
}

// moduleFiles returns go.mod and go.sum of the function: those of another function, as go mod tidy changes them for
// the code.
func (p *project) moduleFiles(ctx context.Context, r *route, sources []file) (files []file, err error) {
	like, err := p.otherModule()
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(filepath.Join(like, "go.mod"))
	if err != nil {
		return nil, err
	}
	module, err := modfile.Parse(filepath.Join(like, "go.mod"), content, nil)
	if err != nil {
		return nil, err
	}
	if err := module.AddModuleStmt(p.module + "/" + r.folder()); err != nil {
		return nil, err
	}
	sums, err := os.ReadFile(filepath.Join(like, "go.sum"))
	if err != nil {
		return nil, err
	}
	// Beside the other functions, because replace lines have relative paths; hidden from the go command.
	dir, err := os.MkdirTemp(filepath.Join(p.root, functionsFolder), ".new-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	staged := []file{{"go.mod", modfile.Format(module.Syntax)}, {"go.sum", sums}}
	for _, f := range sources {
		if path.Dir(f.path) == r.folder() {
			staged = append(staged, f)
		}
	}
	for _, f := range staged {
		if err := os.WriteFile(filepath.Join(dir, path.Base(f.path)), f.content, 0o600); err != nil {
			return nil, err
		}
	}
	if err := build.Tidy(ctx, dir); err != nil {
		return nil, err
	}
	if content, err = os.ReadFile(filepath.Join(dir, "go.mod")); err != nil {
		return nil, err
	}
	if module, err = modfile.Parse("go.mod", content, nil); err != nil {
		return nil, err
	}
	for _, replaced := range slices.Clone(module.Replace) { // modules that only the other function requires
		required := slices.ContainsFunc(module.Require, func(r *modfile.Require) bool {
			return r.Mod.Path == replaced.Old.Path
		})
		if !required && strings.HasPrefix(replaced.New.Path, ".") {
			if err := module.DropReplace(replaced.Old.Path, replaced.Old.Version); err != nil {
				return nil, err
			}
		}
	}
	module.Cleanup()
	if sums, err = os.ReadFile(filepath.Join(dir, "go.sum")); err != nil {
		return nil, err
	}
	return []file{
		{r.folder() + "/go.mod", modfile.Format(module.Syntax)},
		{r.folder() + "/go.sum", sums},
	}, nil
}

// otherModule returns the folder of a function of the project.
func (p *project) otherModule() (string, error) {
	for _, used := range p.workspace.Use {
		if folder := strings.TrimPrefix(used.Path, "./"); path.Dir(folder) == functionsFolder {
			return filepath.Join(p.root, filepath.FromSlash(folder)), nil
		}
	}
	return "", fmt.Errorf("%s: want a function in the folder %s, whose go.mod the new one is like", workspaceFile,
		functionsFolder)
}

// exists reports whether a file or folder exists.
func exists(name string) (bool, error) {
	_, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
