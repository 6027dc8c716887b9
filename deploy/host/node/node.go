// Package node installs the programs and files from npm that the project's checks, tests and pages use.
package node

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

// ErrAbsent is wrapped by the error of [Environment] where the machine has no suitable Node.js, or no npm.
var ErrAbsent = errors.New("no suitable Node.js")

const (
	command     = "node"
	npm         = "npm"
	modules     = "node_modules"
	packageFile = "package.json"
	lockFile    = "package-lock.json"
	install     = "install Node.js 20 or later with npm (https://nodejs.org), so that node and npm are in the PATH"
)

// probe prints what the choice of packages depends on: some are for one system alone.
const probe = `if (parseInt(process.versions.node) < 20) throw new Error("it is Node.js " + process.versions.node);
console.log(process.version, process.platform, process.arch)`

// Env is a folder with installed packages.
type Env struct{ dir string }

// Program returns the path of an installed program, such as spectral. It needs node in the PATH.
func (e *Env) Program(name string) string { return e.Path(".bin", name) }

// Path returns the path of a file or folder below node_modules.
func (e *Env) Path(elem ...string) string {
	return filepath.Join(append([]string{e.dir, modules}, elem...)...)
}

// Environment returns a folder that has the packages of a package.json and its package-lock.json, in which every package is
// pinned by version and checksum. It is kept in the user's cache folder, made when absent, for which npm, as the user has
// configured it, downloads the packages and runs none of their scripts; of several callers at once, in other processes too, one
// makes it and the others wait. The error wraps [ErrAbsent] where there is no Node.js 20 or later, or no npm. When ctx ends, the
// error is its cause.
func Environment(ctx context.Context, packageJSON, lock []byte, progress func(string)) (*Env, error) {
	parent, err := cache.Dir("node")
	if err != nil {
		return nil, err
	}
	return environment(ctx, parent, packageJSON, lock, progress)
}

func environment(
	ctx context.Context, parent string, packageJSON, lock []byte, progress func(string),
) (*Env, error) {
	version, err := look(ctx)
	if err != nil {
		return nil, err
	}
	digest := sha256.New()
	for _, part := range [][]byte{[]byte(version), packageJSON, lock} {
		sum := sha256.Sum256(part)
		_, _ = digest.Write(sum[:]) // never an error
	}
	env := &Env{filepath.Join(parent, hex.EncodeToString(digest.Sum(nil)[:8]))}
	entry := cache.Entry{Path: env.dir, What: "packages from npm", Has: env.installed}
	fill := func(dir string) error { return installPackages(ctx, dir, packageJSON, lock, progress) }
	if err := entry.FillAtOnce(ctx, progress, fill); err != nil {
		return nil, err
	}
	return env, nil
}

// look returns what the choice of packages depends on, or an error that wraps [ErrAbsent].
func look(ctx context.Context) (string, error) {
	version, err := run(ctx, "", command, "-e", probe)
	if err == nil {
		_, err = exec.LookPath(npm)
	}
	if ctx.Err() != nil {
		return "", fmt.Errorf("look for Node.js: %w", context.Cause(ctx))
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w; %s", ErrAbsent, err, install)
	}
	return version, nil
}

func (e *Env) installed() bool {
	_, err := os.Stat(e.dir)
	return err == nil
}

// installPackages puts the packages into the folder dir.
func installPackages(ctx context.Context, dir string, packageJSON, lock []byte, progress func(string)) error {
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, packageFile), packageJSON, 0o600),
		os.WriteFile(filepath.Join(dir, lockFile), lock, 0o600),
	); err != nil {
		return fmt.Errorf("write which packages from npm to install: %w", err)
	}
	progress("Installing packages from npm, once…")
	_, err := run(ctx, dir, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-progress", "--no-update-notifier")
	if ctx.Err() != nil {
		return fmt.Errorf("install packages from npm: %w", context.Cause(ctx))
	}
	if err != nil {
		return fmt.Errorf("install packages from npm: %w; check the network and npm's registry (npm config get registry), then run again", err)
	}
	return nil
}

// run runs a program in dir to its end and returns what it printed. The error has the reason that it printed.
func run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
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

// reason returns the lines in which npm or Node.js tells of errors, as one, without where npm has logged them.
func reason(printed string) string {
	var reasons []string
	for line := range strings.Lines(printed) {
		text, isNPM := strings.CutPrefix(strings.TrimSpace(line), "npm error ")
		if isNPM && !strings.HasPrefix(text, "A complete log of this run") || strings.HasPrefix(text, "Error: ") {
			reasons = append(reasons, strings.TrimSpace(text))
		}
	}
	return strings.Join(reasons, " ")
}
