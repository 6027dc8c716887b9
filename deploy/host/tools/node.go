package tools

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/userrequestapi/userdata/deploy/host/cache"
)

//nolint:gochecknoglobals // never changed
var npm = manager{
	runtime: "Node.js",
	// Prints the platform because some packages are for one platform only.
	probe: []string{"node", "-e", `
if (parseInt(process.versions.node) < 20) throw new Error("it is Node.js " + process.versions.node);
console.log(process.version, process.platform, process.arch)`},
	program:  "npm",
	advice:   "install Node.js 20 or later with npm (https://nodejs.org), so that node and npm are in the PATH",
	what:     "packages from npm",
	settings: "npm's registry (npm config get registry)",
	reason:   NPMReason,
}

// Node returns an environment with the packages of a package.json and its package-lock.json, which pins every package
// by version and checksum. If the environment does not exist, npm downloads the packages with the user's configuration,
// and runs none of their scripts. The error wraps [ErrAbsent] if there is no Node.js 20 or later, or no npm.
func Node(ctx context.Context, packageJSON, lock []byte, progress func(string)) (*Env, error) {
	parent, err := cache.Dir("node")
	if err != nil {
		return nil, err
	}
	return node(ctx, parent, packageJSON, lock, progress)
}

func node(ctx context.Context, parent string, packageJSON, lock []byte, progress func(string)) (*Env, error) {
	version, err := npm.find(ctx)
	if err != nil {
		return nil, err
	}
	var key []byte
	for _, part := range [][]byte{[]byte(version), packageJSON, lock} {
		sum := sha256.Sum256(part)
		key = append(key, sum[:]...)
	}
	entry := npm.entry(parent, key, "")
	err = entry.FillAtOnce(ctx, progress, func(dir string) error {
		if err := errors.Join(
			os.WriteFile(filepath.Join(dir, "package.json"), packageJSON, 0o600),
			os.WriteFile(filepath.Join(dir, "package-lock.json"), lock, 0o600),
		); err != nil {
			return fmt.Errorf("write package.json and package-lock.json: %w", err)
		}
		progress("Installing packages from npm, once…")
		return npm.install(ctx, dir, npm.program,
			"ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-progress", "--no-update-notifier")
	})
	if err != nil {
		return nil, err
	}
	return &Env{filepath.Join(entry.Path, "node_modules"), ".bin"}, nil
}

// npmNoise matches error lines of npm that do not state the reason of a failure.
var npmNoise = regexp.MustCompile(`^\s*($|at |syscall |errno |A complete log of this run)`)

// NPMReason joins the first error lines of npm or Node.js, without stack traces and the path of npm's log. If there are
// none, it returns the last line.
func NPMReason(printed string) string {
	var reasons []string
	last := ""
	for line := range strings.Lines(printed) {
		line = strings.TrimSpace(line)
		last = cmp.Or(line, last)
		message, ok := strings.CutPrefix(line, "npm error ")
		if !ok {
			message, ok = strings.CutPrefix(line, "npm ERR! ") // before npm 10.8
		}
		if ok && !npmNoise.MatchString(message) || strings.HasPrefix(line, "Error: ") {
			reasons = append(reasons, strings.TrimSpace(message))
		}
	}
	if reasons == nil {
		return last
	}
	return strings.Join(reasons[:min(len(reasons), 4)], "; ")
}
