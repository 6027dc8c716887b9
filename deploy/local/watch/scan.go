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

// state is a snapshot of the sources.
type state struct {
	sources map[string]source // by path
	folders map[string]bool   // existing folders to watch
}

// source is a source file of functions or of the API.
type source struct {
	digest    [sha256.Size]byte
	functions map[string]bool // names of the functions compiled from it
	api       bool            // the API document or the template
}

// scanner finds the source files of the functions and of the API. It resolves imports itself, because the go command
// takes a second and a scan follows each save.
type scanner struct {
	root      string
	functions []build.Function
	context   gobuild.Context
	modules   map[string]modules // by path of the go.mod
}

// modules are the modules in local folders that a function is compiled from, including its own.
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

// scan returns the current state of the sources. It ignores errors that the compiler will report.
func (s *scanner) scan(ctx context.Context) (state, error) {
	current := state{sources: map[string]source{}, folders: map[string]bool{}}
	packages := map[string]*pkg{} // by folder
	for _, function := range s.functions {
		dir := function.Dir
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(s.root, dir)
		}
		found, err := s.localModules(ctx, dir)
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
				current.folders[nearestFolder(folder)] = true
			}
			for _, imported := range p.imports {
				if dir := found.resolve(imported); dir != "" && !seen[dir] {
					seen[dir] = true
					next = append(next, dir)
				}
			}
		}
		for _, file := range files {
			current.add(file, function.Name)
		}
	}
	for _, file := range []string{"openapi.yaml", "template.yaml"} {
		current.add(filepath.Join(s.root, "deploy", file), "")
	}
	return current, nil
}

// add adds a source file of a function, or of the API if function is "". The file may not exist.
func (s state) add(file, function string) {
	s.folders[nearestFolder(filepath.Dir(file))] = true
	known, ok := s.sources[file]
	if !ok {
		content, err := os.ReadFile(file)
		if err != nil {
			return // its folder is watched
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

// nearestFolder returns the folder, or its nearest parent that exists: creating the folder changes that parent.
func nearestFolder(folder string) string {
	for {
		info, err := os.Stat(folder)
		if parent := filepath.Dir(folder); (err != nil || !info.IsDir()) && parent != folder {
			folder = parent
			continue
		}
		return folder
	}
}

// localModules returns the module in dir and the modules that its go.mod replaces with folders.
func (s *scanner) localModules(ctx context.Context, dir string) (modules, error) {
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
		folders, err := readModules(ctx, dir)
		switch _, refused := errors.AsType[*exec.ExitError](err); {
		case err == nil:
			known.folders = folders
		case !refused || ctx.Err() != nil:
			return modules{}, err
		default:
			// The build reports the error in go.mod. The last valid one stays in use.
		}
	}
	s.modules[file] = known
	return known, nil
}

// readModules reads the go.mod in dir with the go command.
func readModules(ctx context.Context, dir string) (map[string]string, error) {
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
		if replace.New.Version != "" { // a module, not a folder
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

// resolve returns the folder of an imported package, or "" if it is in none of the modules.
func (m modules) resolve(imported string) string {
	for module := imported; module != "." && module != "/"; module = path.Dir(module) {
		if folder, ok := m.folders[module]; ok {
			return filepath.Join(folder, filepath.FromSlash(imported[len(module):]))
		}
	}
	return ""
}

// pkg is a package with its source files.
type pkg struct {
	files   []string // paths
	folders []string // that contain, or may contain, such files
	imports []string
}

// read reads the package in dir.
func (s *scanner) read(dir string) *pkg {
	// The compiler reports the error; the result contains what could be read.
	found, _ := s.context.ImportDir(dir, 0)
	p := &pkg{folders: []string{dir}, imports: found.Imports}
	for _, name := range slices.Concat(found.GoFiles, found.InvalidGoFiles, found.SFiles, found.HFiles, found.SysoFiles) {
		if !strings.HasSuffix(name, "_test.go") { // InvalidGoFiles includes tests
			p.files = append(p.files, filepath.Join(dir, name))
		}
	}
	for _, pattern := range found.EmbedPatterns {
		p.embed(dir, pattern)
	}
	return p
}

// embed adds the files that match a go:embed pattern, and the folders that may contain more.
func (p *pkg) embed(dir, pattern string) {
	pattern = filepath.Join(dir, filepath.FromSlash(strings.TrimPrefix(pattern, "all:")))
	p.folders = append(p.folders, filepath.Dir(pattern))
	matches, err := filepath.Glob(pattern)
	if err != nil {
		return // the compiler reports the pattern
	}
	for _, match := range matches {
		_ = filepath.WalkDir(match, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return fs.SkipDir // deleted since
			case entry.IsDir():
				p.folders = append(p.folders, path)
			default:
				p.files = append(p.files, path)
			}
			return nil
		})
	}
}
