// Package python makes virtual environments for the Python programs that the project's checks and tests use.
package python

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

// ErrAbsent is wrapped by the error of [Environment] where the machine has no suitable Python.
var ErrAbsent = errors.New("no suitable Python")

const (
	command = "python3"
	marker  = "installed" // the file that says that the environment is whole
	install = "install Python 3.11 or later with its venv module (on Debian and Ubuntu the package python3-venv), " +
		"so that python3 is in the PATH"
)

// probe prints what an environment depends on, and fails without what makes one. The path of the base installation is part of
// it, as an environment refers to that by links.
const probe = `import sys
assert sys.version_info >= (3, 11), "it is Python " + sys.version.split()[0]
import ensurepip, venv
print(sys.version, sys.platform, sys.base_prefix)`

// Env is a virtual environment (https://docs.python.org/3/library/venv.html).
type Env struct{ dir string }

// Program returns the path of an installed program, such as cfn-lint.
func (e *Env) Program(name string) string { return filepath.Join(e.dir, "bin", name) }

// Environment returns a virtual environment that has what requirements say: a pip requirements file that pins every
// distribution, those needed by others too, by version and SHA-256 sum. It is kept in the user's cache folder, made when
// absent, for which pip, as the user has configured it, downloads built distributions (wheels) only; of several callers at
// once, in other processes too, one makes it and the others wait. The error wraps [ErrAbsent] where there is no Python 3.11
// or later with its venv module. When ctx ends, the error is its cause.
func Environment(ctx context.Context, requirements []byte, progress func(string)) (*Env, error) {
	parent, err := cache.Dir("python")
	if err != nil {
		return nil, err
	}
	return environment(ctx, parent, requirements, progress)
}

func environment(ctx context.Context, parent string, requirements []byte, progress func(string)) (*Env, error) {
	version, err := run(ctx, command, "-I", "-c", probe)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("look for Python: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w; %s", ErrAbsent, err, install)
	}
	digest := sha256.Sum256(append([]byte(version+"\n"), requirements...))
	env := &Env{filepath.Join(parent, hex.EncodeToString(digest[:8]))}
	// It is made where it will be used, as it cannot be moved: the marker, not its existence, tells that it is whole.
	entry := cache.Entry{Path: env.dir, What: "Python programs", Has: env.whole}
	if err := entry.Fill(ctx, progress, func() error { return env.install(ctx, requirements, progress) }); err != nil {
		return nil, err
	}
	return env, nil
}

func (e *Env) whole() bool {
	_, err := os.Stat(filepath.Join(e.dir, marker))
	return err == nil
}

func (e *Env) install(ctx context.Context, requirements []byte, progress func(string)) error {
	if err := os.RemoveAll(e.dir); err != nil {
		return fmt.Errorf("remove a Python environment that is not whole: %w", err)
	}
	progress("Installing Python programs, once…")
	if _, err := run(ctx, command, "-I", "-m", "venv", e.dir); err != nil {
		return fmt.Errorf("make a Python environment in %s: %w", e.dir, err)
	}
	file := filepath.Join(e.dir, "requirements.txt")
	if err := os.WriteFile(file, requirements, 0o600); err != nil {
		return fmt.Errorf("write the requirements of a Python environment: %w", err)
	}
	_, err := run(ctx, e.Program("python"), "-I", "-m", "pip", "install", "--quiet", "--no-input",
		"--disable-pip-version-check", "--require-hashes", "--only-binary", ":all:", "--requirement", file)
	if ctx.Err() != nil {
		return fmt.Errorf("install Python programs: %w", err)
	}
	if err != nil {
		return fmt.Errorf("install Python programs: %w; check the network and pip's settings (%s -m pip config list), then run again",
			err, command)
	}
	if err := os.WriteFile(filepath.Join(e.dir, marker), nil, 0o600); err != nil {
		return fmt.Errorf("mark a Python environment as whole: %w", err)
	}
	return nil
}

// run runs a program to its end and returns what it printed. The error has the reason that it printed.
func run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := process.Run(ctx, cmd)
	if err != nil && ctx.Err() == nil {
		if text := reason(stderr.String()); text != "" {
			err = fmt.Errorf("%w: %s", err, text)
		}
	}
	return stdout.String(), err
}

// reason returns what pip printed from its first error on, or else the last line, which is that of a Python traceback.
func reason(printed string) string {
	if i := strings.Index(printed, "ERROR: "); i >= 0 {
		return strings.Join(strings.Fields(printed[i:]), " ")
	}
	printed = strings.TrimSpace(printed)
	return printed[strings.LastIndexByte(printed, '\n')+1:]
}
