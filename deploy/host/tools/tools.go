// Package tools installs the pinned npm packages and Python programs that the project's checks, tests and pages use.
//
// [Node] and [Python] keep what they install in the user's cache folder. Of several concurrent callers, also in other
// processes, one installs and the others wait. When the context ends, the error is its cause.
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

	"github.com/userrequestapi/userdata/deploy/host/cache"
	"github.com/userrequestapi/userdata/deploy/host/process"
)

// ErrAbsent is wrapped by the error of [Node] or [Python] if the machine lacks what they need. The name of the
// runtime follows its text.
var ErrAbsent = errors.New("no suitable")

// Env is an environment with installed tools.
type Env struct{ dir, programs string }

// Program returns the path of an installed program, such as spectral or cfn-lint. A program from npm needs node in the
// PATH.
func (e *Env) Program(name string) string { return e.Path(e.programs, name) }

// Path returns the path of a file or folder of the environment, which for npm is node_modules.
func (e *Env) Path(elem ...string) string { return filepath.Join(append([]string{e.dir}, elem...)...) }

// manager is a package manager with its runtime.
type manager struct {
	runtime  string                      // name of the runtime for messages
	probe    []string                    // command that prints what an environment depends on, or fails
	program  string                      // program that creates an environment
	advice   string                      // how to install the runtime
	what     string                      // what is installed, for messages
	settings string                      // what to check if the installation fails
	reason   func(printed string) string // extracts the reason of a failure from the standard error
}

// find returns the output of the probe, or an error that wraps [ErrAbsent].
func (m manager) find(ctx context.Context) (string, error) {
	version, err := m.run(ctx, "", m.probe[0], m.probe[1:]...)
	if err == nil {
		_, err = exec.LookPath(m.program)
	}
	if ctx.Err() != nil {
		return "", fmt.Errorf("find %s: %w", m.runtime, context.Cause(ctx))
	}
	if err != nil {
		return "", fmt.Errorf("%w %s: %w; %s", ErrAbsent, m.runtime, err, m.advice)
	}
	return version, nil
}

// entry returns the cache entry in parent of the environment that key determines. The environment is complete if it
// contains marker; if marker is "", it is complete if it exists.
func (m manager) entry(parent string, key []byte, marker string) cache.Entry {
	digest := sha256.Sum256(key)
	path := filepath.Join(parent, hex.EncodeToString(digest[:8]))
	return cache.Entry{Path: path, What: m.what, Has: func() bool {
		_, err := os.Stat(filepath.Join(path, marker))
		return err == nil
	}}
}

// install runs the command that downloads and installs, in dir.
func (m manager) install(ctx context.Context, dir, name string, args ...string) error {
	_, err := m.run(ctx, dir, name, args...)
	if ctx.Err() != nil {
		return fmt.Errorf("install %s: %w", m.what, context.Cause(ctx))
	}
	if err != nil {
		return fmt.Errorf("install %s: %w; check the network and %s, then run again", m.what, err, m.settings)
	}
	return nil
}

// run runs a program in dir and returns its standard output. The error includes the reason printed to standard error.
func (m manager) run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := process.Run(ctx, cmd)
	if err != nil && ctx.Err() == nil {
		if reason := m.reason(stderr.String()); reason != "" {
			err = fmt.Errorf("%w: %s", err, reason)
		}
	}
	return stdout.String(), err
}
