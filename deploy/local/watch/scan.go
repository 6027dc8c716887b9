package watch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	gobuild "go/build"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/userrequestapi/userdata/deploy/build"
	"github.com/userrequestapi/userdata/deploy/host/process"
)

// state is what the sources are at one time.
type state struct {
	sources map[string]source // by path
	folders map[string]bool   // whose events tell that there is a change; they all exist
}

// source is a file that something is made from.
type source struct {
	digest    [sha256.Size]byte
	functions map[string]bool // names of those that are compiled from it
	api       bool            // the API is made from it
}

// scanner finds the files that the functions and the API are made from. It finds the imports by itself, because the go
// command takes a second for what is looked at after each save.
type scanner struct {
	root      string
	functions []build.Function
	context   gobuild.Context
	modules   map[string]modules // by the path of the go.mod that says so
}

// modules are those in folders of this machine that a function is compiled from, its own among them.
type modules struct {
	digest  [sha256.Size]byte // of the go.mod
	folders map[string]string // by module path
}

func newScanner(config Config) *scanner {
	return &scanner{
		root:      config.Root,
		functions: config.Functions,
		context:   config.Target.Context(),
		modules:   map[string]modules{},
	}
}

// scan returns what the sources are now. What the compiler will complain about is no error here.
func (s *scanner) scan(ctx context.Context) (state, error) {
	present := state{sources: map[string]source{}, folders: map[string]bool{}}
	packages := map[string]*pkg{} // by folder
	for _, function := range s.functions {
		dir := function.Dir
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(s.root, dir)
		}
		found, err := s.local(ctx, dir)
		if err != nil {
			return state{}, err
		}
		files := []string{filepath.Join(dir, "go.sum"), filepath.Join(dir, "default.pgo")}
		for _, module := range found.folders {
			files = append(files, filepath.Join(module, "go.mod"))
		}
		next, seen := []string{dir}, map[string]bool{dir: true}
		for len(next) > 0 {
			dir, next = next[0], next[1:]
			p, ok := packages[dir]
			if !ok {
				p = s.read(dir)
				packages[dir] = p
			}
			files = append(files, p.files...)
			for _, folder := range p.folders {
				present.folders[existing(folder)] = true
			}
			for _, imported := range p.imports {
				if dir := found.resolve(imported); dir != "" && !seen[dir] {
					seen[dir] = true
					next = append(next, dir)
				}
			}
		}
		for _, file := range files {
			present.add(file, function.Name)
		}
	}
	for _, file := range []string{"openapi.yaml", "template.yaml"} {
		present.add(filepath.Join(s.root, "deploy", file), "")
	}
	return present, nil
}

// add takes in a file that concerns a function; the API where it is "". The file may not exist.
func (s state) add(file, function string) {
	s.folders[existing(filepath.Dir(file))] = true
	known, ok := s.sources[file]
	if !ok {
		content, err := os.ReadFile(file)
		if err != nil {
			return // its folder tells when there is one
		}
		known = source{digest: sha256.Sum256(content), functions: map[string]bool{}}
	}
	if function == "" {
		known.api = true
	} else {
		known.functions[function] = true
	}
	s.sources[file] = known
}

// existing returns the folder, or where there is none the nearest above it: that tells when it is made.
func existing(folder string) string {
	for {
		info, err := os.Stat(folder)
		if parent := filepath.Dir(folder); (err != nil || !info.IsDir()) && parent != folder {
			folder = parent
			continue
		}
		return folder
	}
}

// local returns the modules of the workspace that the module in dir is compiled from.
func (s *scanner) local(ctx context.Context, dir string) (modules, error) {
	file := filepath.Join(dir, "go.mod")
	content, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return modules{}, fmt.Errorf("read the module: %w", err)
	}
	digest := sha256.Sum256(content)
	known, ok := s.modules[file]
	if ok && known.digest == digest {
		return known, nil
	}
	known.digest = digest
	if content != nil {
		folders, err := replaced(ctx, dir)
		switch _, refused := errors.AsType[*exec.ExitError](err); {
		case err == nil:
			known.folders = folders
		case !refused || ctx.Err() != nil:
			return modules{}, err
		default:
			// The build will tell what is wrong with the file, and until it is right again nothing can be compiled.
		}
	}
	s.modules[file] = known
	return known, nil
}

// replaced asks the go command what the go.mod in dir says.
func replaced(ctx context.Context, dir string) (map[string]string, error) {
	var output bytes.Buffer
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir, cmd.Stdout = dir, &output
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if err := process.Run(ctx, cmd); err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, "go.mod"), err)
	}
	var file struct {
		Module  struct{ Path string }
		Replace []struct {
			Old, New struct{ Path, Version string }
		}
	}
	if err := json.Unmarshal(output.Bytes(), &file); err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, "go.mod"), err)
	}
	folders := map[string]string{file.Module.Path: dir}
	for _, replace := range file.Replace {
		if replace.New.Version != "" { // another module, no folder
			continue
		}
		folder := filepath.FromSlash(replace.New.Path)
		if !filepath.IsAbs(folder) {
			folder = filepath.Join(dir, folder)
		}
		folders[replace.Old.Path] = folder
	}
	return folders, nil
}

// resolve returns the folder of an imported package; "" where it is in none of the modules.
func (m modules) resolve(imported string) string {
	for module := imported; module != "." && module != "/"; module = path.Dir(module) {
		if folder, ok := m.folders[module]; ok {
			return filepath.Join(folder, filepath.FromSlash(imported[len(module):]))
		}
	}
	return ""
}

// pkg is what a package is compiled from.
type pkg struct {
	files   []string // paths
	folders []string // that have them, or would have
	imports []string
}

// read reads the package in dir, as far as it can be read.
func (s *scanner) read(dir string) *pkg {
	// The error is the compiler's to tell; what could be read is there all the same.
	found, _ := s.context.ImportDir(dir, 0)
	p := &pkg{folders: []string{dir}, imports: found.Imports}
	for _, name := range slices.Concat(found.GoFiles, found.InvalidGoFiles, found.SFiles, found.HFiles, found.SysoFiles) {
		if !strings.HasSuffix(name, "_test.go") { // which may be invalid too
			p.files = append(p.files, filepath.Join(dir, name))
		}
	}
	for _, pattern := range found.EmbedPatterns {
		p.embed(dir, pattern)
	}
	return p
}

// embed takes in the files of a pattern of go:embed, and the folders in which there may be more.
func (p *pkg) embed(dir, pattern string) {
	pattern = filepath.Join(dir, filepath.FromSlash(strings.TrimPrefix(pattern, "all:")))
	p.folders = append(p.folders, filepath.Dir(pattern))
	matches, err := filepath.Glob(pattern)
	if err != nil {
		return // so the compiler says
	}
	for _, match := range matches {
		_ = filepath.WalkDir(match, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return fs.SkipDir // it has gone by now
			case entry.IsDir():
				p.folders = append(p.folders, path)
			default:
				p.files = append(p.files, path)
			}
			return nil
		})
	}
}
