package lambda

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// debugTimeout is the time limit of the init and of the invocations of a function with a debugger.
const debugTimeout = 24 * time.Hour

// Configuration is the configuration of a Lambda function.
type Configuration struct {
	Name        string            // function name, such as "UserRequestAPI-get"
	Bootstrap   string            // path of the binary; its folder is the task root and the working directory
	Environment map[string]string // environment variables; names reserved by Lambda are an error
	MemoryMB    int               // reported, not enforced
	Timeout     time.Duration     // of one invocation
	Concurrency *int              // reserved concurrency: maximum environments; nil means Options.MaxEnvironments
	Handler     string            // value of _HANDLER; "" means "bootstrap"
	Tracing     bool              // whether REPORT names the X-Ray trace of a sampled invocation
	LogGroup    string            // name of the log group
	LogFormat   string            // AWS_LAMBDA_LOG_FORMAT: "JSON" or "Text"; not set if empty
	LogLevel    string            // AWS_LAMBDA_LOG_LEVEL, such as "WARN"; not set if empty
	// Revision identifies the content of Bootstrap, for example by a hash. [Host.Update] replaces a function whose
	// revision has changed.
	Revision string
	// Debugger is a command that runs the binary under a debugger. {bootstrap} in it is replaced by the path; without
	// it, the path is appended. Such a function has one environment, which Start or Update starts at once and for which
	// invocations wait. The timeouts of its init and its invocations are 24 h. If the debugger ends, the next
	// invocation restarts it.
	Debugger []string
}

// pool contains the environments of a function.
type pool struct {
	Configuration
	limit int

	// Guarded by Host.mu.
	environments map[*environment]struct{}
	idle         []*environment // most recently used last
	responded    int            // environments that have responded, but not yet requested the next invocation
	changed      chan struct{}  // closed and replaced when an environment becomes idle or ends

	retired chan struct{} // closed, with Host.mu held, when Update replaces or removes the function
}

func newPools(functions []Configuration, opts Options) (map[string]*pool, error) {
	configured := make(map[string]*pool, len(functions))
	for _, f := range functions {
		if _, duplicate := configured[f.Name]; duplicate {
			return nil, fmt.Errorf("function %s is configured twice", f.Name)
		}
		fn, err := newPool(f, opts)
		if err != nil {
			return nil, fmt.Errorf("function %q: %w", f.Name, err)
		}
		configured[f.Name] = fn
	}
	return configured, nil
}

func newPool(f Configuration, opts Options) (*pool, error) {
	f.Handler = cmp.Or(f.Handler, "bootstrap")
	f.Environment, f.Debugger = maps.Clone(f.Environment), slices.Clone(f.Debugger)
	limit := opts.MaxEnvironments
	if f.Concurrency != nil {
		limit = *f.Concurrency
	}
	if f.Name == "" || strings.ContainsAny(f.Name, ":/") {
		return nil, errors.New("want a name without a colon or slash")
	}
	if f.MemoryMB <= 0 || f.Timeout <= 0 || limit < 0 {
		return nil, fmt.Errorf("want a memory and a timeout above 0, and a concurrency of at least 0, got %d MB, %v and %d",
			f.MemoryMB, f.Timeout, limit)
	}
	if err := checkVariables(f.Environment); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(f.Bootstrap)
	if err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return nil, fmt.Errorf("bootstrap: %s is not an executable file", path)
	}
	f.Bootstrap = path
	if len(f.Debugger) > 0 {
		f.Timeout, limit = debugTimeout, 1
	}
	return &pool{
		Configuration: f,
		limit:         limit,
		environments:  make(map[*environment]struct{}),
		changed:       make(chan struct{}),
		retired:       make(chan struct{}),
	}, nil
}

// command returns the command line of the function's process.
func (fn *pool) command() []string {
	const placeholder = "{bootstrap}"
	if len(fn.Debugger) == 0 {
		return []string{fn.Bootstrap}
	}
	command := slices.Clone(fn.Debugger)
	for i, arg := range command {
		command[i] = strings.ReplaceAll(arg, placeholder, fn.Bootstrap)
	}
	if slices.Equal(command, fn.Debugger) {
		command = append(command, fn.Bootstrap)
	}
	return command
}

// notifyWaiters wakes the invocations that wait for an environment. The caller must hold Host.mu.
func (fn *pool) notifyWaiters() {
	close(fn.changed)
	fn.changed = make(chan struct{})
}
