package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/userrequestapi/userdata/deploy/build"
	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/host/nearest"
	"github.com/userrequestapi/userdata/deploy/local/lambda"
	"github.com/userrequestapi/userdata/deploy/template"
)

// The account and Region of the functions, the defaults of [template.PseudoParameters].
const (
	accountID = "000000000000"
	region    = "us-east-1"
)

// floorFolder is the folder of the function that does nothing but respond.
const floorFolder = "tests/bench"

// Baseline is an executable to compare with.
type Baseline struct {
	// Bootstrap is its path, or the name of a function of the project, to measure it with another environment.
	Bootstrap string
	// Event is the path of the event to send. Without one, the executable is another build of the project's function that
	// has the name of its folder, or of the first function: it gets that function's event and environment.
	Event string
	// Environment has environment variables, which override those of the function.
	Environment map[string]string
}

// ParseBaseline parses a baseline in the form bootstrap[,event][,NAME=value]….
func ParseBaseline(s string) (Baseline, error) {
	parts := strings.Split(s, ",")
	b := Baseline{Bootstrap: parts[0]}
	valid := b.Bootstrap != ""
	for _, part := range parts[1:] {
		switch name, value, isVariable := strings.Cut(part, "="); {
		case isVariable && name != "":
			if b.Environment == nil {
				b.Environment = map[string]string{}
			}
			b.Environment[name] = value
		case !isVariable && part != "" && b.Event == "":
			b.Event = part
		default:
			valid = false
		}
	}
	if !valid {
		return Baseline{}, fmt.Errorf("want bootstrap[,event.json][,NAME=value], got %q", s)
	}
	return b, nil
}

// project is the workspace.
type project struct {
	root      string
	resources *template.Resources
}

func load(o Options) (*project, error) {
	source, err := template.Load(os.DirFS(filepath.Join(o.Root, "deploy")))
	if err != nil {
		return nil, err
	}
	// The event of a request without authorization is the smallest.
	rendered, err := source.Render(template.Options{Parameters: map[string]string{
		template.AuthorizationParameter: template.AuthorizationNone,
	}})
	if err != nil {
		return nil, err
	}
	resources, err := rendered.Resolve(template.PseudoParameters{Region: region, AccountID: accountID})
	if err != nil {
		return nil, err
	}
	return &project{o.Root, resources}, nil
}

// subject is an executable with what it needs to run.
type subject struct {
	Subject
	module      build.Module      // of a function
	function    template.Function // the configuration; that of the function that a baseline is compared with
	path        string            // of the executable
	event       []byte
	rank        int  // of the request's method: the first function is compared with a floor and with other projects
	removes     bool // the request deletes the example item
	foreign     bool // not a function of this project: it gets only these environment variables
	environment map[string]string
	overrides   map[string]string // environment variables of a baseline
	create      []*creator
}

// creator creates the example item of a collection with the project's function.
type creator struct {
	subject *subject
	event   []byte
	request request
}

// subjects builds the executables: the functions, the floor, and the baselines.
func (p *project) subjects(ctx context.Context, o Options, work string) ([]*subject, error) {
	var names []string
	for _, m := range build.FromTemplate(p.resources.Functions()) {
		names = append(names, m.Name)
	}
	if err := checkNames(o.Functions, names); err != nil {
		return nil, err
	}
	o.Baselines = absolute(o.Baselines, o.Folder, names)
	events, err := checkBaselines(o.Baselines, names) // before the build, which takes seconds
	if err != nil {
		return nil, err
	}
	creates := createRequests(p.resources.API().Document)
	functions := p.needed(o.Functions, creates)
	modules := build.FromTemplate(functions)
	artifacts, err := p.build(ctx, o, work, modules)
	if err != nil {
		return nil, err
	}
	creators, err := p.creators(ctx, creates, functions, modules, artifacts)
	if err != nil {
		return nil, err
	}
	var subjects []*subject
	for i, m := range modules {
		if len(o.Functions) > 0 && !slices.Contains(o.Functions, m.Name) {
			continue
		}
		s, err := p.subject(ctx, functions[i], m.Name, artifacts[i])
		if err != nil {
			return nil, err
		}
		if s == nil {
			o.Progress(m.Name + " is left out: no example in deploy/" + contract.File + " calls it")
			continue
		}
		s.create, s.module = creators, m
		subjects = append(subjects, s)
	}
	slices.SortStableFunc(subjects, func(a, b *subject) int { return a.rank - b.rank })
	if len(subjects) == 0 {
		return nil, fmt.Errorf("no function to measure: add an example item to deploy/%s", contract.File)
	}
	floor, err := p.floor(ctx, o, work, subjects[0])
	if err != nil {
		return nil, err
	}
	if o.Executables == "" {
		if err := sizes(ctx, p.root, work, subjects); err != nil {
			return nil, err
		}
	}
	for i, b := range o.Baselines {
		s, err := p.baseline(b, events[i], work, subjects)
		if err != nil {
			return nil, err
		}
		subjects = append(subjects, s)
	}
	return append(subjects, floor...), nil
}

// needed returns the functions with the given names, all if there are none, and those that create example items.
func (p *project) needed(names []string, creates []request) []template.Function {
	functions := p.resources.Functions()
	var needed []template.Function
	for i, m := range build.FromTemplate(functions) {
		f := functions[i]
		creator := slices.ContainsFunc(creates, func(r request) bool { return r.function == f.LogicalID })
		if creator || len(names) == 0 || slices.Contains(names, m.Name) {
			needed = append(needed, f)
		}
	}
	return needed
}

// build builds the functions as for a deployment, but for this machine.
func (p *project) build(ctx context.Context, o Options, work string, modules []build.Module) ([]build.Artifact, error) {
	if o.Executables == "" {
		o.Progress(fmt.Sprintf("Building %d functions…", len(modules)))
		return build.Functions(ctx, modules, build.Options{Root: p.root, Out: filepath.Join(work, "host")})
	}
	artifacts := make([]build.Artifact, len(modules))
	for i, m := range modules {
		artifacts[i] = build.Artifact{Name: m.Name, Path: filepath.Join(o.Executables, m.LogicalID, build.Executable)}
	}
	return artifacts, nil
}

// checkNames returns an error if a given name is not that of a function.
func checkNames(given, names []string) error {
	for _, name := range given {
		if slices.Contains(names, name) {
			continue
		}
		hint := "one of " + strings.Join(names, ", ")
		if near, ok := nearest.Name(name, names); ok {
			hint = "did you mean " + near + "?"
		}
		return fmt.Errorf("FUNCTION: unknown function %s: %s", name, hint)
	}
	return nil
}

// absolute returns the baselines with the folder before their relative paths. The name of a function is no path.
func absolute(baselines []Baseline, folder string, names []string) []Baseline {
	resolve := func(path string) string {
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(folder, path)
	}
	baselines = slices.Clone(baselines)
	for i := range baselines {
		b := &baselines[i]
		b.Event = resolve(b.Event)
		if !slices.Contains(names, b.Bootstrap) {
			b.Bootstrap = resolve(b.Bootstrap)
		}
	}
	return baselines
}

// checkBaselines returns the events of baselines, nil for those without. It returns an error for a file that is missing
// or of another kind.
func checkBaselines(baselines []Baseline, names []string) (events [][]byte, err error) {
	events = make([][]byte, len(baselines))
	for i, b := range baselines {
		if b.Event != "" {
			if events[i], err = os.ReadFile(b.Event); err != nil {
				return nil, fmt.Errorf("BASELINE: read the event: %w", err)
			}
			if !json.Valid(events[i]) {
				return nil, fmt.Errorf("BASELINE: %s: want an event in JSON", b.Event)
			}
		}
		if slices.Contains(names, b.Bootstrap) {
			continue
		}
		info, err := os.Stat(b.Bootstrap)
		if err != nil {
			return nil, fmt.Errorf("BASELINE: want an executable or the name of a function: %w", err)
		}
		if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
			return nil, fmt.Errorf("BASELINE: %s: want an executable file", b.Bootstrap)
		}
	}
	return events, nil
}

// subject returns the subject of a function, or nil if no example of the document calls it.
func (p *project) subject(
	ctx context.Context, f template.Function, name string, artifact build.Artifact,
) (*subject, error) {
	request, ok := findRequest(p.resources.API().Document, f.LogicalID)
	if !ok {
		return nil, nil //nolint:nilnil // there is nothing to measure
	}
	event, err := p.event(ctx, request)
	if err != nil {
		return nil, err
	}
	return &subject{
		Subject:  Subject{Name: name, Kind: Function, Request: request.String()},
		function: f, path: artifact.Path, event: event,
		rank: slices.Index(contract.Methods(), request.method), removes: request.method == http.MethodDelete,
	}, nil
}

// creators returns the creators of the example items, one for each request to a function of the template.
func (p *project) creators(
	ctx context.Context, creates []request,
	functions []template.Function, modules []build.Module, artifacts []build.Artifact,
) ([]*creator, error) {
	var creators []*creator
	for _, request := range creates {
		i := slices.IndexFunc(functions, func(f template.Function) bool { return f.LogicalID == request.function })
		if i < 0 {
			continue
		}
		event, err := p.event(ctx, request)
		if err != nil {
			return nil, err
		}
		creators = append(creators, &creator{
			subject: &subject{Subject: Subject{Name: modules[i].Name}, function: functions[i], path: artifacts[i].Path},
			event:   event, request: request,
		})
	}
	return creators, nil
}

// floor builds the floor. It returns none if the project does not have it.
func (p *project) floor(ctx context.Context, o Options, work string, first *subject) ([]*subject, error) {
	dir := filepath.FromSlash(floorFolder)
	if _, err := os.Stat(filepath.Join(p.root, dir)); errors.Is(err, fs.ErrNotExist) {
		o.Progress("there is no floor to compare with: the folder " + floorFolder + " is missing")
		return nil, nil
	}
	module := build.Module{Name: "floor", Dir: dir}
	artifacts, err := build.Functions(ctx, []build.Module{module}, build.Options{
		Root: p.root, Out: filepath.Join(work, "host"),
	})
	if err != nil {
		return nil, err
	}
	floor := []*subject{{
		Subject: Subject{Name: "floor", Kind: Floor}, module: module, function: first.function, path: artifacts[0].Path,
		event: first.event, foreign: true, environment: map[string]string{},
	}}
	return floor, sizes(ctx, p.root, work, floor)
}

// sizes sets the sizes of the packages of subjects, which it builds for arm64 as well.
func sizes(ctx context.Context, root, work string, subjects []*subject) error {
	var modules []build.Module
	for _, s := range subjects {
		modules = append(modules, s.module)
	}
	arm64, err := build.Functions(ctx, modules, build.Options{
		Root: root, Out: filepath.Join(work, "arm64"), Target: build.Target{OS: "linux", Arch: "arm64"},
	})
	if err != nil {
		return err
	}
	for i, s := range subjects {
		if s.Zip, err = zipSize(s.Name, s.path); err != nil {
			return err
		}
		if s.ZipARM64, err = zipSize(s.Name, arm64[i].Path); err != nil {
			return err
		}
	}
	return nil
}

func zipSize(name, path string) (int64, error) {
	p, err := build.PackageFunction(build.Artifact{Name: name, Path: path})
	return p.Size, err
}

// baseline returns the subject of a baseline.
func (p *project) baseline(b Baseline, event []byte, work string, subjects []*subject) (*subject, error) {
	of, path, name, err := findBaseline(b, subjects)
	if err != nil {
		return nil, fmt.Errorf("BASELINE: %w", err)
	}
	words := []string{name}
	for _, variable := range slices.Sorted(maps.Keys(b.Environment)) {
		words = append(words, variable+"="+b.Environment[variable])
	}
	name = strings.Join(words, " ")
	for n, plain := 2, name; slices.ContainsFunc(subjects, func(s *subject) bool { return s.Name == name }); n++ {
		name = fmt.Sprintf("%s %d", plain, n)
	}
	s := &subject{
		Subject:  Subject{Name: name, Kind: Other, Of: of.Name, Request: of.Request},
		function: of.function, path: path, event: of.event, removes: of.removes, create: of.create, overrides: b.Environment,
	}
	if event != nil {
		s.event, s.foreign, s.environment, s.Request = event, true, p.tableVariables(), filepath.Base(b.Event)
	}
	// Beside the executable, the archive would be in a folder of the user.
	link := filepath.Join(work, "baseline", strconv.Itoa(len(subjects)), build.Executable)
	err = os.MkdirAll(filepath.Dir(link), 0o750)
	if err == nil {
		err = build.Link(path, link)
	}
	if err == nil {
		s.Zip, err = zipSize(name, link)
	}
	if err != nil {
		return nil, fmt.Errorf("BASELINE: %w", err)
	}
	return s, nil
}

// findBaseline returns the function that a baseline is compared with, its path and its name.
func findBaseline(b Baseline, subjects []*subject) (of *subject, path, name string, err error) {
	for _, f := range subjects {
		if f.Kind == Function && f.Name == b.Bootstrap {
			return f, f.path, f.Name, nil
		}
	}
	if path, err = filepath.Abs(b.Bootstrap); err != nil {
		return nil, "", "", err
	}
	dir := filepath.Dir(path)
	for _, f := range subjects {
		if f.Kind == Function && f.Name == filepath.Base(dir) {
			return f, path, filepath.Base(filepath.Dir(dir)) + "/" + f.Name, nil
		}
	}
	return subjects[0], path, filepath.Base(dir), nil
}

// tableVariables returns the environment variables of a function of another project: the usual names of the variable
// with its table, and those of this project.
func (p *project) tableVariables() map[string]string {
	variables := map[string]string{}
	for _, table := range p.resources.Tables() {
		for _, f := range p.resources.Functions() {
			for name, value := range f.Environment {
				if value == table.Name {
					variables[name] = value
				}
			}
		}
		for _, name := range []string{"TABLE", "TABLE_NAME"} {
			if variables[name] == "" {
				variables[name] = table.Name
			}
		}
	}
	return variables
}

// baselineTimeout is the timeout of a function of another project.
const baselineTimeout = 30 * time.Second

// configuration returns the configuration of the function for a database.
func (s *subject) configuration(d *database) lambda.Configuration {
	c := lambda.Configuration{
		Name: s.function.Name, Bootstrap: s.path, Environment: maps.Clone(s.function.Environment),
		MemoryMB: s.function.MemoryMB, Timeout: s.function.Timeout, Handler: s.function.Handler, Tracing: s.function.Tracing,
		LogGroup: s.function.Logging.Group, LogFormat: s.function.Logging.Format,
		LogLevel: s.function.Logging.ApplicationLevel,
	}
	if s.foreign {
		c.Environment, c.Timeout = maps.Clone(s.environment), baselineTimeout
	}
	maps.Copy(c.Environment, d.environment)
	maps.Copy(c.Environment, s.overrides)
	return c
}
