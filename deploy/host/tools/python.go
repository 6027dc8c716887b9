package tools

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/userrequestapi/userdata/deploy/host/cache"
)

const marker = "installed" // file that marks a complete environment

//nolint:gochecknoglobals // never changed
var pip = manager{
	runtime: "Python",
	// Prints the base installation because an environment links to it. Fails if Python cannot create one.
	probe: []string{"python3", "-I", "-c", `import sys
assert sys.version_info >= (3, 11), "it is Python " + sys.version.split()[0]
import ensurepip, venv
print(sys.version, sys.platform, sys.base_prefix)`},
	program: "python3",
	advice: "install Python 3.11 or later with its venv module (on Debian and Ubuntu the package python3-venv), " +
		"so that python3 is in the PATH",
	what:     "Python programs",
	settings: "pip's settings (python3 -m pip config list)",
	reason:   pipReason,
}

// Python returns a virtual environment (https://docs.python.org/3/library/venv.html) with the given requirements, a pip
// requirements file that pins every distribution, dependencies included, by version and SHA-256. If the environment
// does not exist, pip downloads built distributions (wheels) only, with the user's configuration. The error wraps
// [ErrAbsent] if there is no Python 3.11 or later with its venv module.
func Python(ctx context.Context, requirements []byte, progress func(string)) (*Env, error) {
	parent, err := cache.Dir("python")
	if err != nil {
		return nil, err
	}
	return python(ctx, parent, requirements, progress)
}

func python(ctx context.Context, parent string, requirements []byte, progress func(string)) (*Env, error) {
	version, err := pip.find(ctx)
	if err != nil {
		return nil, err
	}
	// A virtual environment cannot be moved, so it is not renamed when complete, but marked.
	entry := pip.entry(parent, append([]byte(version+"\n"), requirements...), marker)
	env := &Env{entry.Path, "bin"}
	fill := func() error { return env.installPrograms(ctx, requirements, progress) }
	if err := entry.Fill(ctx, progress, fill); err != nil {
		return nil, err
	}
	return env, nil
}

func (e *Env) installPrograms(ctx context.Context, requirements []byte, progress func(string)) error {
	if err := os.RemoveAll(e.dir); err != nil {
		return fmt.Errorf("remove an incomplete Python environment: %w", err)
	}
	progress("Installing Python programs, once…")
	if _, err := pip.run(ctx, "", pip.program, "-I", "-m", "venv", e.dir); err != nil {
		return fmt.Errorf("create a Python environment in %s: %w", e.dir, err)
	}
	file := filepath.Join(e.dir, "requirements.txt")
	if err := os.WriteFile(file, requirements, 0o600); err != nil {
		return fmt.Errorf("write the requirements of a Python environment: %w", err)
	}
	if err := pip.install(ctx, "", e.Program("python"), "-I", "-m", "pip", "install", "--quiet", "--no-input",
		"--disable-pip-version-check", "--require-hashes", "--only-binary", ":all:", "--requirement", file); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(e.dir, marker), nil, 0o600); err != nil {
		return fmt.Errorf("mark a Python environment as complete: %w", err)
	}
	return nil
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
