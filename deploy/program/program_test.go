package program_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/program"
)

func TestMain(m *testing.M) {
	if os.Getenv("PROGRAM_TEST") == "" {
		os.Exit(m.Run())
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
		"fail":   func(context.Context, []string) error { return errors.New("out of luck") },
		"refuse": func(context.Context, []string) error { return fmt.Errorf("read settings: %w", coded(2)) },
	})
}

// coded is an error with an exit code.
type coded int

func (c coded) Error() string   { return "refused" }
func (c coded) ExitStatus() int { return int(c) }

func TestMain_Targets(t *testing.T) {
	t.Parallel()
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
		{"unknown target", []string{"greed"}, result{Err: "Error: want a target: one of fail, greet, open, refuse\n", Code: 1}},
		{"no target", nil, result{Err: "Error: want a target: one of fail, greet, open, refuse\n", Code: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], tt.args...)
			cmd.Env = append(os.Environ(), "PROGRAM_TEST=1")
			var out, stderr strings.Builder
			cmd.Stdout, cmd.Stderr = &out, &stderr
			if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
				t.Fatal(err)
			}
			got := result{out.String(), stderr.String(), cmd.ProcessState.ExitCode()}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
