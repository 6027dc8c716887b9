package watch

import (
	"crypto/sha256"
	"errors"
	"fmt"
	gobuild "go/build"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/userrequestapi/userdata/deploy/build"
)

// state is a snapshot of the sources.
type state struct {
	sources map[string]source // by path
	folders map[string]bool   // existing folders to watch
}

// source is a source file of functions or of the API.
type source struct {
	digest [sha256.Size]byte
	users  map[string]bool // names of the functions compiled from it, or api
}

// api is the user of the API document and the template.
const api = ""

// scanner finds the source files of the functions and of the API. It resolves imports itself, because go list takes a
// second and a scan follows each save.
type scanner struct {
	root      string
	functions []build.Module
	context   gobuild.Context
	modules   map[string]modules // of the last valid go.mod, by the function's folder
}

// modules are the folders, by module path, of the modules in local folders that a function is compiled from, including
// its own.
type modules map[string]string

func newScanner(config Config) *scanner {
	return &scanner{config.Root, config.Functions, build.Host().Context(), map[string]modules{}}
}

// scan returns the current state of the sources. It ignores errors that the compiler will report.
func (s *scanner) scan() (state, error) {
	current := state{sources: map[string]source{}, folders: map[string]bool{}}
	packages := map[string]*pkg{} // by folder
	for _, function := range s.functions {
		dir := filepath.Join(s.root, function.Dir)
		found, err := s.localModules(dir)
		if err != nil {
			return state{}, err
		}
		files := []string{filepath.Join(dir, "go.sum"), filepath.Join(dir, "default.pgo")}
		for _, module := range found {
			files = append(files, filepath.Join(module, "go.mod"))
		}
		dirs := []string{dir}
		for i := 0; i < len(dirs); i++ { // dirs grows
			p, ok := packages[dirs[i]]
			if !ok {
				p = s.read(dirs[i])
				packages[dirs[i]] = p
			}
			files = append(files, p.files...)
			for _, folder := range p.folders {
				current.folders[nearestFolder(folder)] = true
			}
			for _, imported := range p.imports {
				if dir := found.resolve(imported); dir != "" && !slices.Contains(dirs, dir) {
					dirs = append(dirs, dir)
				}
			}
		}
		for _, file := range files {
			current.add(file, function.Name)
		}
	}
	for _, file := range []string{"openapi.yaml", "template.yaml"} {
		current.add(filepath.Join(s.root, "deploy", file), api)
	}
	return current, nil
}

// add adds a source file with a user. The file may not exist.
func (s state) add(file, user string) {
	s.folders[nearestFolder(filepath.Dir(file))] = true
	known, ok := s.sources[file]
	if !ok {
		content, err := os.ReadFile(file)
		if err != nil {
			return // its folder is watched
		}
		known = source{sha256.Sum256(content), map[string]bool{}}
		s.sources[file] = known
	}
	known.users[user] = true
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
func (s *scanner) localModules(dir string) (modules, error) {
	name := filepath.Join(dir, "go.mod")
	content, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the module: %w", err)
	}
	file, err := modfile.Parse(name, content, nil)
	if err != nil || file.Module == nil {
		return s.modules[dir], nil //nolint:nilerr // the build reports the error
	}
	found := modules{file.Module.Mod.Path: dir}
	for _, replace := range file.Replace {
		if replace.New.Version != "" { // a module, not a folder
			continue
		}
		folder := filepath.FromSlash(replace.New.Path)
		if !filepath.IsAbs(folder) {
			folder = filepath.Join(dir, folder)
		}
		found[replace.Old.Path] = folder
	}
	s.modules[dir] = found
	return found, nil
}

// resolve returns the folder of an imported package, or "" if it is in none of the modules.
func (m modules) resolve(imported string) string {
	for module := imported; module != "." && module != "/"; module = path.Dir(module) {
		if folder, ok := m[module]; ok {
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
