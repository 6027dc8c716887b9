//go:build mage

// UserRequestAPI: users by id, kept in DynamoDB and served by AWS Lambda behind API Gateway.
package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/magefile/mage/mg"
	"github.com/magefile/mage/sh"

	"github.com/userrequestapi/userdata/deploy/host/program"
)

// Run runs the local stack until Ctrl-C; settings include PORT, STAGE and RESET=1 (see docs/run.md).
func Run() error { return start("local", "run") }

// Debug runs the local stack with one function (for example get) under Delve (see docs/change.md).
func Debug(function string) error { return start("local", "debug", function) }

// Build compiles the functions into bin/ for this machine, or for TARGET, such as linux/arm64.
func Build() error { return start("build", "build") }

// Package writes the functions' packages for Lambda to bin/packages, and prints checksums (TARGET=linux/arm64).
func Package() error { return start("build", "package") }

// Deploy builds the functions and deploys the stage STAGE (prod) to AWS (see docs/deploy.md).
func Deploy() error { return start("release", "deploy") }

// Plan shows the changes that deploy would make.
func Plan() error { return start("release", "plan") }

// DeployFunction deploys only the code of one function, such as get.
func DeployFunction(name string) error { return start("release", "deployFunction", name) }

// Rollback restores the previous release.
func Rollback() error { return start("release", "rollback") }

// Status shows the state of the stage: stack, versions, drift and alarms.
func Status() error { return start("release", "status") }

// Smoke tests the deployed stage with a user that it creates and deletes.
func Smoke() error { return start("release", "smoke") }

// Destroy deletes the stage; the table with the users is kept unless DELETE_TABLE is its name.
func Destroy() error { return start("release", "destroy") }

// Template prints the CloudFormation template of the stage.
func Template() error { return start("release", "template") }

// Traces shows recent traces of the stage, filtered by FAULT=1, SLOWER=500ms, …, or the trace TRACE (see
// docs/operate.md).
func Traces() error { return start("observe", "traces") }

// Logs shows log lines of the stage, of a REQUEST or a TRACE, and follows them on a terminal (see docs/operate.md).
func Logs() error { return start("observe", "logs") }

// Test has the targets for tests.
type Test mg.Namespace

// Default runs the tests for every commit (short: test); SHORT=1 skips those that need Java, npm or the network.
func (Test) Default() error { return start("check", "test") }

// All runs all tests, as continuous integration does (see docs/change.md).
func (Test) All() error { return start("check", "test:all") }

// Bench has the targets for benchmarks.
type Bench mg.Namespace

// Loop measures restarts, reloads and, unless TESTS=0, tests, each RUNS times (5) (see docs/change.md).
func (Bench) Loop() error { return start("bench", "loop") }

// Fuzz runs each fuzz target for a minute, or for FUZZTIME, such as 10s.
func Fuzz() error { return start("check", "fuzz") }

// Lint runs all linters and checks, or only those in ONLY, such as ONLY=gofmt,staticcheck.
func Lint() error { return start("check", "lint") }

// Generate generates files from the API document: the Go client's operations and the request collections.
func Generate() error { return start("docs", "generate") }

// Docs has the targets for documentation.
type Docs mg.Namespace

// Stage exports the API document of the stage to docs/api and opens its reference (short: docs; see docs/deploy.md).
func (Docs) Stage() error { return start("release", "docs") }

// Site writes the documentation as a static site to bin/site, or to the folder OUT.
func (Docs) Site() error { return start("docs", "site") }

// Aliases are short names of targets.
var Aliases = map[string]any{"docs": Docs.Stage, "test": Test.Default} //nolint:gochecknoglobals // mage reads it

// Clean deletes bin/ and .local/, which contains the data of the local stack.
func Clean() error {
	if err := checkAlone(1); err != nil {
		return err
	}
	for _, dir := range []string{"bin", ".local"} {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("clean: %w", err)
		}
	}
	return nil
}

// init checks the arguments, because mage runs the first targets before it reports that a later one is unknown, and
// suggests no other name.
func init() {
	if len(os.Args) < 2 || strings.HasPrefix(os.Args[1], "-") {
		return
	}
	cmd := exec.Command(os.Args[0], "-l")
	cmd.Env = append(os.Environ(), mg.EnableColorEnv+"=0")
	list, err := cmd.Output()
	if err == nil {
		err = program.CheckArguments(os.Args[1:], string(list), slices.Collect(maps.Keys(Aliases))...)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(2)
	}
}

// checkAlone returns an error if the arguments of mage are more than n: one target and its own arguments.
func checkAlone(n int) error {
	given := os.Args[1:]
	if len(given) <= n {
		return nil
	}
	return mg.Fatalf(2, "want one target at a time, got %s: run go tool mage %s",
		strings.Join(given, " "), strings.Join(given[:n], " "))
}

// start replaces this process with a program in deploy/cmd. A target therefore compiles only what it needs, and
// receives signals directly. The program is compiled with the flags of the functions, so that shared packages are
// compiled once.
func start(name string, args ...string) error {
	if err := checkAlone(len(args)); err != nil {
		return err
	}
	dir, err := filepath.Abs(filepath.Join("bin", "tools"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	compiling := time.AfterFunc(time.Second, func() {
		fmt.Fprintf(os.Stderr, "Compiling deploy/cmd/%s (slow the first time)…\n", name)
	})
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", dir+string(filepath.Separator),
		"./deploy/cmd/"+name)
	// A temporary folder on the same file system lets the go command replace the executable in one step.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOTMPDIR="+dir)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	err = cmd.Run()
	compiling.Stop()
	if err != nil {
		return fmt.Errorf("compile deploy/cmd/%s: %w", name, err)
	}
	executable := filepath.Join(dir, name)
	if runtime.GOOS == "windows" { // does not support exec
		return sh.RunV(executable, args...)
	}
	return syscall.Exec(executable, append([]string{executable}, args...), os.Environ())
}
