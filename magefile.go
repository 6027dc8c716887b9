//go:build mage

// UserRequestAPI: users by id, kept in DynamoDB and served by AWS Lambda behind API Gateway.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/magefile/mage/mg"
	"github.com/magefile/mage/sh"
)

// Run serves the API on this machine until Ctrl-C; PORT, STAGE and RESET=1 are honoured (see docs/run.md).
func Run() error { return start("local", "run") }

// Debug serves the API as run does, with one function, such as get, under the debugger Delve (see docs/change.md).
func Debug(function string) error { return start("local", "debug", function) }

// Build compiles the functions as they are deployed into bin/, for this machine or for TARGET, such as linux/arm64.
func Build() error { return start("build", "build") }

// Package compiles the functions for Lambda and archives them in bin/packages; TARGET is linux/arm64. It prints their checksums.
func Package() error { return start("build", "package") }

// Deploy builds what has changed and brings the stage STAGE (prod) on AWS to what the source says (see docs/deploy.md).
func Deploy() error { return start("release", "deploy") }

// Plan shows what deploy would change.
func Plan() error { return start("release", "plan") }

// DeployFunction deploys the code of one function, such as get, and nothing else.
func DeployFunction(name string) error { return start("release", "deployFunction", name) }

// Rollback makes the release before the present one the present one again.
func Rollback() error { return start("release", "rollback") }

// Status shows the state of the stage: its stack, versions, drift and alarms.
func Status() error { return start("release", "status") }

// Smoke tries the deployed stage out with a user that it creates and deletes.
func Smoke() error { return start("release", "smoke") }

// Destroy removes the stage; the table with the users stays unless DELETE_TABLE names it.
func Destroy() error { return start("release", "destroy") }

// Template prints the template of the stage as CloudFormation is given it.
func Template() error { return start("release", "template") }

// Traces shows the stage's recent traces, those with FAULT=1, SLOWER=500ms and so on, or one of them by TRACE (see docs/operate.md).
func Traces() error { return start("observe", "traces") }

// Logs shows the lines of the stage's logs, those of a REQUEST or a TRACE, and follows them on a terminal (see docs/operate.md).
func Logs() error { return start("observe", "logs") }

// Test are the targets of the tests.
type Test mg.Namespace

// Default runs the tests that everybody runs before a commit; test for short. SHORT=1 leaves out what needs Java, npm or the network.
func (Test) Default() error { return start("check", "test") }

// All runs every test, the long matrices included, as continuous integration does (see docs/change.md).
func (Test) All() error { return start("check", "test:all") }

// Bench are the targets of the benchmarks.
type Bench mg.Namespace

// Loop measures how long a developer waits: restarts, reloads and, unless TESTS=0, the tests; RUNS is 5 (see docs/change.md).
func (Bench) Loop() error { return start("bench", "loop") }

// Fuzz runs each fuzz target for a minute, or for FUZZTIME, such as 10s.
func Fuzz() error { return start("check", "fuzz") }

// Lint runs all linters and checks of the modules; ONLY=gofmt,staticcheck runs just those.
func Lint() error { return start("check", "lint") }

// Generate writes the files that follow from the API document: the Go client's operations and the collections of requests.
func Generate() error { return start("docs", "generate") }

// Docs are the targets of the documentation.
type Docs mg.Namespace

// Stage exports the API document of the deployed stage to docs/api, and opens its pages to try it out; docs for short (see docs/deploy.md).
func (Docs) Stage() error { return start("release", "docs") }

// Site writes the documentation as a static site into bin/site, or into the folder OUT.
func (Docs) Site() error { return start("docs", "site") }

// Aliases are shorter names of targets.
var Aliases = map[string]any{"docs": Docs.Stage, "test": Test.Default} //nolint:gochecknoglobals // mage reads it

// Clean removes bin/ and .local/, the data of the stack on this machine with it.
func Clean() error {
	for _, dir := range []string{"bin", ".local"} {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("clean: %w", err)
		}
	}
	return nil
}

// start replaces this process with a program below deploy/cmd. A target therefore compiles only what it needs and receives
// the terminal's signals itself. The program is compiled with the flags of the functions, so that packages that both need
// are compiled once.
func start(name string, args ...string) error {
	if given := os.Args[1:]; len(given) > len(args) {
		return mg.Fatalf(2, "want one target at a time, got %s", strings.Join(given, " "))
	}
	dir, err := filepath.Abs(filepath.Join("bin", "tools"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	compiling := time.AfterFunc(time.Second, func() {
		fmt.Fprintf(os.Stderr, "Compiling deploy/cmd/%s, which takes a while the first time…\n", name)
	})
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", dir+string(filepath.Separator), "./deploy/cmd/"+name)
	// A temporary folder on the same file system lets the go command replace the executable in one step.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOTMPDIR="+dir)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	err = cmd.Run()
	compiling.Stop()
	if err != nil {
		return fmt.Errorf("compile deploy/cmd/%s: %w", name, err)
	}
	executable := filepath.Join(dir, name)
	if runtime.GOOS == "windows" { // which cannot replace a process
		return sh.RunV(executable, args...)
	}
	return syscall.Exec(executable, append([]string{executable}, args...), os.Environ())
}
