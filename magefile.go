//go:build mage

// UserRequestAPI: users by id, kept in DynamoDB and served by AWS Lambda behind API Gateway.
package main

import (
	"fmt"
	"os"

	"github.com/magefile/mage/mg"

	"github.com/userrequestapi/userdata/deploy/host/program"
)

// Run runs the local stack until Ctrl-C; settings include PORT, STAGE and RESET=1 (see docs/run.md).
func Run() error { return program.Start("local", "run") }

// Debug runs the local stack with one function (for example get) under Delve (see docs/change.md).
func Debug(function string) error { return program.Start("local", "debug", function) }

// Build compiles the functions into bin/ for this machine, or for TARGET, such as linux/arm64.
func Build() error { return program.Start("build", "build") }

// Package writes the functions' packages for Lambda to bin/packages, and prints checksums (TARGET=linux/arm64).
func Package() error { return program.Start("build", "package") }

// Deploy builds the functions and deploys the stage STAGE (prod) to AWS (see docs/deploy.md).
func Deploy() error { return program.Start("release", "deploy") }

// Plan shows the changes that deploy would make.
func Plan() error { return program.Start("release", "plan") }

// DeployFunction deploys only the code of one function, such as get.
func DeployFunction(name string) error { return program.Start("release", "deployFunction", name) }

// Rollback restores the previous release.
func Rollback() error { return program.Start("release", "rollback") }

// Status shows the state of the stage: stack, versions, drift and alarms.
func Status() error { return program.Start("release", "status") }

// Smoke tests the deployed stage with an item that it creates and deletes.
func Smoke() error { return program.Start("release", "smoke") }

// Destroy deletes the stage; its tables are kept, except those that DELETE_TABLE names.
func Destroy() error { return program.Start("release", "destroy") }

// Template prints the CloudFormation template of the stage.
func Template() error { return program.Start("release", "template") }

// Traces shows recent traces of the stage, filtered by FAULT=1, SLOWER=500ms, …, or the trace TRACE (see
// docs/operate.md).
func Traces() error { return program.Start("observe", "traces") }

// Logs shows log lines of the stage, of a REQUEST or a TRACE, and follows them on a terminal (see docs/operate.md).
func Logs() error { return program.Start("observe", "logs") }

// New has the targets that begin something new.
type New mg.Namespace

// Function adds a function with its route, such as orders GET '/users/{userId}/orders' (see docs/change.md).
func (New) Function(name, method, path string) error {
	return program.Start("new", "function", name, method, path)
}

// Project makes a project of your own from this one: DIR MODULE NAME (see docs/new-project.md).
func (New) Project(dir, module, name string) error {
	return program.Start("new", "project", dir, module, name)
}

// Test has the targets for tests.
type Test mg.Namespace

// Default runs the tests for every commit (short: test); SHORT=1 skips those that need Java, npm or the network.
func (Test) Default() error { return program.Start("check", "test") }

// All runs all tests, as continuous integration does (see docs/change.md).
func (Test) All() error { return program.Start("check", "test:all") }

// Bench has the targets for benchmarks.
type Bench mg.Namespace

// Default measures the functions beside a floor and BASELINE (short: bench; see docs/performance.md).
func (Bench) Default() error { return program.Start("bench", "bench") }

// Loop measures restarts, reloads and, unless TESTS=0, tests, each RUNS times (5) (see docs/change.md).
func (Bench) Loop() error { return program.Start("bench", "loop") }

// Load sends RATE (50) requests a second for DURATION (30s) to the local stack, or to STAGE (see docs/load.md).
func Load() error { return program.Start("load", "load") }

// Fuzz runs each fuzz target for a minute, or for FUZZTIME, such as 10s.
func Fuzz() error { return program.Start("check", "fuzz") }

// Lint runs all linters and checks, or only those in ONLY, such as ONLY=gofmt,golangci-lint.
func Lint() error { return program.Start("check", "lint") }

// Generate generates files from the API document: the Go client's operations and the request collections.
func Generate() error { return program.Start("docs", "generate") }

// Docs has the targets for documentation.
type Docs mg.Namespace

// Stage exports the API document of the stage to docs/api and opens its reference (short: docs; see docs/deploy.md).
func (Docs) Stage() error { return program.Start("release", "docs") }

// Site writes the documentation as a static site to bin/site, or to the folder OUT.
func (Docs) Site() error { return program.Start("docs", "site") }

// Aliases are short names of targets.
var Aliases = map[string]any{ //nolint:gochecknoglobals // mage reads it
	"bench": Bench.Default, "docs": Docs.Stage, "test": Test.Default,
}

// Clean deletes bin/ and .local/, which contains the data of the local stack.
func Clean() error {
	for _, dir := range []string{"bin", ".local"} {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("clean: %w", err)
		}
	}
	return nil
}
