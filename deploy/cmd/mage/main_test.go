package main_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
)

// build compiles the command, and returns its path.
func build(t *testing.T) string {
	t.Helper()
	executable := filepath.Join(t.TempDir(), "mage")
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", executable, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return executable
}

// workspace returns the path of a folder of a workspace with a magefile.
func workspace(t *testing.T) string {
	t.Helper()
	return filepath.Join(testenv.Folder(t, map[string]string{
		"go.work":      "go 1.26.0\n\nuse .\n",
		"go.mod":       "module example.org/workspace\n\ngo 1.26.0\n",
		"sub/file.txt": "",
		"magefile.go": `//go:build mage

package main

import (
	"errors"
	"fmt"
	"os"
)

func Greet(name string) { fmt.Println("hello", name) }

func Where() error {
	fmt.Println("started in " + os.Getenv("MAGE_START_FOLDER"))
	_, err := os.Stat("magefile.go")
	return err
}

func FailTwice() error { return errors.New("failed") }

var Aliases = map[string]any{"hello": Greet}
`,
	}), "sub")
}

func TestMage(t *testing.T) {
	t.Parallel()
	executable, dir := build(t), workspace(t)
	for _, tt := range []struct {
		args, want string // part of the output
		code       int
	}{
		{"greet you", "hello you\n", 0},
		{"hello you", "hello you\n", 0},
		{"where", "started in " + dir + "\n", 0},
		{"-l", "greet", 0},
		{"failTwice", "Error: failed\n", 1},
		{"greet", "want go tool mage greet NAME, got 0 arguments\n", 2},
		{"greet you where", "want one target at a time, got greet you where: run go tool mage greet you\n", 2},
		{"wheer", "unknown target wheer: did you mean go tool mage where?\n", 2},
		{"failtwise", "unknown target failtwise: did you mean go tool mage failTwice?\n", 2},
		{"where A=1", "settings come before the command: A=1 go tool mage where\n", 2},
	} {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), executable, strings.Fields(tt.args)...)
			cmd.Dir = dir
			output, err := cmd.CombinedOutput()
			if !strings.Contains(string(output), tt.want) || cmd.ProcessState.ExitCode() != tt.code {
				t.Errorf("%v, output %q, want the exit code %d and %q", err, output, tt.code, tt.want)
			}
		})
	}
}

// TestMage_Concurrent starts several processes at once, each of which writes mage's file to the workspace.
func TestMage_Concurrent(t *testing.T) {
	t.Parallel()
	executable, dir := build(t), workspace(t)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			cmd := exec.CommandContext(t.Context(), executable, "greet", "you")
			cmd.Dir = dir
			if output, err := cmd.CombinedOutput(); err != nil || string(output) != "hello you\n" {
				t.Errorf("%v, output %q, want hello you", err, output)
			}
		})
	}
	group.Wait()
}

func TestMage_NoWorkspace(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), build(t), "run")
	cmd.Dir = t.TempDir()
	output, _ := cmd.CombinedOutput()
	if want := "no go.work in this folder or its parents"; !strings.Contains(string(output), want) {
		t.Errorf("output %q, want %q", output, want)
	}
}
