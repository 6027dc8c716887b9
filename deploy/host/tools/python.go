package tools

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/userrequestapi/userdata/deploy/host/cache"
	"github.com/userrequestapi/userdata/deploy/host/process"
)

// ErrPythonAbsent is wrapped by the error of [Python] if the machine has no Python 3.11 or later with its venv module.
var ErrPythonAbsent = errors.New("no suitable Python")

const (
	pythonCommand = "python3"
	marker        = "installed" // file that marks a complete environment
	pythonAdvice  = "install Python 3.11 or later with its venv module (on Debian and Ubuntu the package python3-venv), " +
		"so that python3 is in the PATH"
)

// pythonProbe prints what an environment depends on, and fails if Python cannot create one. The base installation is included
// because an environment links to it.
const pythonProbe = `import sys
assert sys.version_info >= (3, 11), "it is Python " + sys.version.split()[0]
import ensurepip, venv
print(sys.version, sys.platform, sys.base_prefix)`

// PythonEnv is a virtual environment (https://docs.python.org/3/library/venv.html).
type PythonEnv struct{ dir string }

// Program returns the path of an installed program, such as cfn-lint.
func (e *PythonEnv) Program(name string) string { return filepath.Join(e.dir, "bin", name) }

// Python returns a virtual environment with the given requirements, a pip requirements file that pins every
// distribution, dependencies included, by version and SHA-256. The environment is kept in the user's cache folder. If
// it does not exist, pip downloads built distributions (wheels) only, with the user's configuration. Of several
// concurrent callers, also in other processes, one installs and the others wait. The error wraps [ErrPythonAbsent] if there
// is no Python 3.11 or later with its venv module. When ctx ends, the error is its cause.
func Python(ctx context.Context, requirements []byte, progress func(string)) (*PythonEnv, error) {
	parent, err := cache.Dir("python")
	if err != nil {
		return nil, err
	}
	return python(ctx, parent, requirements, progress)
}

func python(ctx context.Context, parent string, requirements []byte, progress func(string)) (*PythonEnv, error) {
	version, err := runPython(ctx, pythonCommand, "-I", "-c", pythonProbe)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("find Python: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w; %s", ErrPythonAbsent, err, pythonAdvice)
	}
	digest := sha256.Sum256(append([]byte(version+"\n"), requirements...))
	env := &PythonEnv{filepath.Join(parent, hex.EncodeToString(digest[:8]))}
	// A virtual environment cannot be moved, so it is not renamed when complete, but marked.
	entry := cache.Entry{Path: env.dir, What: "Python programs", Has: env.complete}
	if err := entry.Fill(ctx, progress, func() error { return env.install(ctx, requirements, progress) }); err != nil {
		return nil, err
	}
	return env, nil
}

func (e *PythonEnv) complete() bool {
	_, err := os.Stat(filepath.Join(e.dir, marker))
	return err == nil
}

func (e *PythonEnv) install(ctx context.Context, requirements []byte, progress func(string)) error {
	if err := os.RemoveAll(e.dir); err != nil {
		return fmt.Errorf("remove an incomplete Python environment: %w", err)
	}
	progress("Installing Python programs, once…")
	if _, err := runPython(ctx, pythonCommand, "-I", "-m", "venv", e.dir); err != nil {
		return fmt.Errorf("create a Python environment in %s: %w", e.dir, err)
	}
	file := filepath.Join(e.dir, "requirements.txt")
	if err := os.WriteFile(file, requirements, 0o600); err != nil {
		return fmt.Errorf("write the requirements of a Python environment: %w", err)
	}
	_, err := runPython(ctx, e.Program("python"), "-I", "-m", "pip", "install", "--quiet", "--no-input",
		"--disable-pip-version-check", "--require-hashes", "--only-binary", ":all:", "--requirement", file)
	if ctx.Err() != nil {
		return fmt.Errorf("install Python programs: %w", err)
	}
	if err != nil {
		return fmt.Errorf("install Python programs: %w; check the network and pip's settings (%s -m pip config list), then run again",
			err, pythonCommand)
	}
	if err := os.WriteFile(filepath.Join(e.dir, marker), nil, 0o600); err != nil {
		return fmt.Errorf("mark a Python environment as complete: %w", err)
	}
	return nil
}

// runPython runs a program and returns its standard output. The error includes the reason printed to standard error.
func runPython(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := process.Run(ctx, cmd)
	if err != nil && ctx.Err() == nil {
		if text := pipReason(stderr.String()); text != "" {
			err = fmt.Errorf("%w: %s", err, text)
		}
	}
	return stdout.String(), err
}

// pipReason returns pip's output from its first error on, or else the last line, which is the exception of a Python
// traceback.
func pipReason(printed string) string {
	if i := strings.Index(printed, "ERROR: "); i >= 0 {
		return strings.Join(strings.Fields(printed[i:]), " ")
	}
	printed = strings.TrimSpace(printed)
	return printed[strings.LastIndexByte(printed, '\n')+1:]
}
