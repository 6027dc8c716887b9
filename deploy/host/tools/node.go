// Package tools installs the pinned npm packages and Python programs that the project's checks, tests and pages use.
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

// ErrNodeAbsent is wrapped by the error of [Node] if the machine has no Node.js 20 or later, or no npm.
var ErrNodeAbsent = errors.New("no suitable Node.js")

const (
	nodeCommand = "node"
	npm         = "npm"
	modules     = "node_modules"
	packageFile = "package.json"
	lockFile    = "package-lock.json"
	nodeAdvice  = "install Node.js 20 or later with npm (https://nodejs.org), so that node and npm are in the PATH"
)

// nodeProbe prints what npm's choice of packages depends on: some packages are for one platform only.
const nodeProbe = `if (parseInt(process.versions.node) < 20) throw new Error("it is Node.js " + process.versions.node);
console.log(process.version, process.platform, process.arch)`

// NodeEnv is a folder with installed packages.
type NodeEnv struct{ dir string }

// Program returns the path of an installed program, such as spectral. The program needs node in the PATH.
func (e *NodeEnv) Program(name string) string { return e.Path(".bin", name) }

// Path returns the path of a file or folder below node_modules.
func (e *NodeEnv) Path(elem ...string) string {
	return filepath.Join(append([]string{e.dir, modules}, elem...)...)
}

// Node returns an environment with the packages of a package.json and its package-lock.json, which pins every
// package by version and checksum. The environment is kept in the user's cache folder. If it does not exist, npm
// downloads the packages with the user's configuration, and runs none of their scripts. Of several concurrent callers,
// also in other processes, one installs and the others wait. The error wraps [ErrNodeAbsent] if there is no Node.js 20 or
// later, or no npm. When ctx ends, the error is its cause.
func Node(ctx context.Context, packageJSON, lock []byte, progress func(string)) (*NodeEnv, error) {
	parent, err := cache.Dir("node")
	if err != nil {
		return nil, err
	}
	return node(ctx, parent, packageJSON, lock, progress)
}

func node(
	ctx context.Context, parent string, packageJSON, lock []byte, progress func(string),
) (*NodeEnv, error) {
	version, err := probeNode(ctx)
	if err != nil {
		return nil, err
	}
	digest := sha256.New()
	for _, part := range [][]byte{[]byte(version), packageJSON, lock} {
		sum := sha256.Sum256(part)
		_, _ = digest.Write(sum[:]) // never returns an error
	}
	env := &NodeEnv{filepath.Join(parent, hex.EncodeToString(digest.Sum(nil)[:8]))}
	entry := cache.Entry{Path: env.dir, What: "packages from npm", Has: env.installed}
	fill := func(dir string) error { return installPackages(ctx, dir, packageJSON, lock, progress) }
	if err := entry.FillAtOnce(ctx, progress, fill); err != nil {
		return nil, err
	}
	return env, nil
}

// probeNode returns the output of [nodeProbe], or an error that wraps [ErrNodeAbsent].
func probeNode(ctx context.Context) (string, error) {
	version, err := runNode(ctx, "", nodeCommand, "-e", nodeProbe)
	if err == nil {
		_, err = exec.LookPath(npm)
	}
	if ctx.Err() != nil {
		return "", fmt.Errorf("find Node.js: %w", context.Cause(ctx))
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w; %s", ErrNodeAbsent, err, nodeAdvice)
	}
	return version, nil
}

func (e *NodeEnv) installed() bool {
	_, err := os.Stat(e.dir)
	return err == nil
}

func installPackages(ctx context.Context, dir string, packageJSON, lock []byte, progress func(string)) error {
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, packageFile), packageJSON, 0o600),
		os.WriteFile(filepath.Join(dir, lockFile), lock, 0o600),
	); err != nil {
		return fmt.Errorf("write %s and %s: %w", packageFile, lockFile, err)
	}
	progress("Installing packages from npm, once…")
	_, err := runNode(ctx, dir, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-progress", "--no-update-notifier")
	if ctx.Err() != nil {
		return fmt.Errorf("install packages from npm: %w", context.Cause(ctx))
	}
	if err != nil {
		return fmt.Errorf("install packages from npm: %w; check the network and npm's registry (npm config get registry), then run again", err)
	}
	return nil
}

// runNode runs a program in dir and returns its standard output. The error includes the reason printed to standard error.
func runNode(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := process.Run(ctx, cmd)
	if err != nil && ctx.Err() == nil {
		if text := npmReason(stderr.String()); text != "" {
			err = fmt.Errorf("%w: %s", err, text)
		}
	}
	return stdout.String(), err
}

// npmReason joins the error lines of npm or Node.js, without the path of npm's log.
func npmReason(printed string) string {
	var reasons []string
	for line := range strings.Lines(printed) {
		text, isNPM := strings.CutPrefix(strings.TrimSpace(line), "npm error ")
		if isNPM && !strings.HasPrefix(text, "A complete log of this run") || strings.HasPrefix(text, "Error: ") {
			reasons = append(reasons, strings.TrimSpace(text))
		}
	}
	return strings.Join(reasons, " ")
}
