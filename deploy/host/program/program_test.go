package program_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/host/program"
)

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		os.Exit(m.Run())
	case "waiting":
		waiting()
		return
	case "parent":
		parent()
		return
	}
	program.Main(map[string]program.Target{
		"greet": func(_ context.Context, args []string) error {
			fmt.Println("Hello", strings.Join(args, " "))
			return nil
		},
		"open": program.WithArgument("a file", func(_ context.Context, file string) error {
			fmt.Println("Opened", file)
			return nil
		}),
		"fail": func(context.Context, []string) error { return errors.New("out of luck") },
		"fill": func(context.Context, []string) error {
			return fmt.Errorf("build: %w", &fs.PathError{Op: "write", Path: "a", Err: syscall.ENOSPC})
		},
		"refuse": func(context.Context, []string) error { return fmt.Errorf("read settings: %w", coded(2)) },
	})
}

// coded is an error with an exit code.
type coded int

func (c coded) Error() string   { return "refused" }
func (c coded) ExitStatus() int { return int(c) }

func TestMain_Targets(t *testing.T) {
	t.Parallel()
	const wantTarget = "Error: want a target: one of fail, fill, greet, open, refuse\n"
	type result struct {
		Out, Err string
		Code     int
	}
	for _, tt := range []struct {
		name string
		args []string
		want result
	}{
		{"succeeds", []string{"greet", "Ada", "Grace"}, result{Out: "Hello Ada Grace\n"}},
		{"takes an argument", []string{"open", "a.txt"}, result{Out: "Opened a.txt\n"}},
		{"wants an argument", []string{"open"}, result{Err: "Error: want a file, got []\n", Code: 1}},
		{"fails", []string{"fail"}, result{Err: "Error: out of luck\n", Code: 1}},
		{"fails with its code", []string{"refuse"}, result{Err: "Error: read settings: refused\n", Code: 2}},
		{"fills the disk", []string{"fill"}, result{Err: "Error: build: write a: no space left on device\n" +
			"the disk is full: free some space, or choose another disk with TMPDIR for temporary files " +
			"(now /tmp/here) or GOCACHE for Go's build cache\n", Code: 1}},
		{"unknown target", []string{"greed"}, result{Err: wantTarget, Code: 1}},
		{"no target", nil, result{Err: wantTarget, Code: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], tt.args...)
			cmd.Env = append(os.Environ(), role+"=main", "TMPDIR=/tmp/here")
			var out, stderr strings.Builder
			cmd.Stdout, cmd.Stderr = &out, &stderr
			if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
				t.Fatal(err)
			}
			got := result{out.String(), stderr.String(), cmd.ProcessState.ExitCode()}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("output and exit code (-want +got):\n%s", diff)
			}
		})
	}
}
