package tools_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/host/tools"
)

const (
	six         = "six==1.17.0 --hash=sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274\n"
	dateutil    = "python-dateutil==2.9.0.post0 --hash=sha256:a8b2bc7bffae282281c8140a97d3aa9c14da0b136dfe83f850eea9a5f7470427\n"
	environment = "*/requirements.txt" // in the parent folder of the environments
)

// requirePython skips the test with -short and if Python cannot create an environment.
func requirePython(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Python and the network")
	}
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip(err)
	}
}

func wantSix(t *testing.T, env *tools.Env) {
	t.Helper()
	out, err := exec.Command(env.Program("python"), "-I", "-c", "import six; print(six.__version__)").CombinedOutput()
	if got := strings.TrimSpace(string(out)); err != nil || got != "1.17.0" {
		t.Errorf("got %s, %v, want 1.17.0", got, err)
	}
}

func TestPython_IsInstalledOnce(t *testing.T) {
	t.Parallel()
	requirePython(t)
	parent := t.TempDir()
	wantInstalledOnce(t, func(progress func(string)) (*tools.Env, error) {
		return tools.PythonIn(t.Context(), parent, []byte(six), progress)
	}, wantSix)
}

func TestPython_Refuses(t *testing.T) {
	t.Parallel()
	requirePython(t)
	tests := []struct {
		name, requirements, want string
		long                     bool // creates an environment, which takes seconds
	}{
		{"other hash", strings.Replace(six, "4721", "4722", 1), "DO NOT MATCH THE HASHES", false},
		{"unpinned dependency", dateutil, "six>=1.5", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.long {
				testenv.SkipUnlessAll(t)
			}
			_, err := tools.PythonIn(t.Context(), t.TempDir(), []byte(tt.requirements), func(string) {})
			if err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, tools.ErrAbsent) {
				t.Errorf("got error %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestPython_InterruptedIsReinstalled(t *testing.T) {
	t.Parallel()
	testenv.SkipUnlessAll(t)
	requirePython(t)
	parent := t.TempDir()
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		for ctx.Err() == nil { // until pip runs
			if found, _ := filepath.Glob(filepath.Join(parent, environment)); len(found) > 0 {
				cancel(stopped)
			}
			time.Sleep(time.Millisecond)
		}
	})
	_, err := tools.PythonIn(ctx, parent, []byte(six), func(string) {})
	cancel(nil)
	group.Wait()
	if !errors.Is(err, stopped) {
		t.Fatalf("got error %v, want %v", err, stopped)
	}
	found, err := filepath.Glob(filepath.Join(parent, environment))
	if err != nil || len(found) != 1 {
		t.Fatalf("got %q, %v, want the interrupted environment", found, err)
	}
	leftover := filepath.Join(filepath.Dir(found[0]), "leftover")
	if err := os.WriteFile(leftover, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	env, err := tools.PythonIn(t.Context(), parent, []byte(six), func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	wantSix(t, env)
	if _, err := os.Stat(leftover); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got error %v, want the old environment removed", err)
	}
}

func TestPython_NoneSuitable(t *testing.T) {
	// A wrapper script would need more than this program in PATH.
	python3, missing := exec.Command("python3", "-c", "import sys; print(sys.executable, end='')").Output()
	tests := []struct {
		name  string
		patch string // runs before the probe; "" for no Python
		want  string
	}{
		{"none", "", "executable file not found"},
		{"too old", `sys.version, sys.version_info = "3.10.2 (main)", (3, 10, 2)`, "it is Python 3.10.2"},
		{"without ensurepip", `sys.modules["ensurepip"] = None`, "ensurepip"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.patch != "" {
				if missing != nil {
					t.Skip(missing)
				}
				script(t, filepath.Join(dir, "python3"), `exec "`+string(python3)+`" -c 'import sys; `+tt.patch+`; exec(sys.argv[1])' "$3"`)
			}
			t.Setenv("PATH", dir)
			_, err := tools.Python(t.Context(), []byte(six), func(string) {})
			wantAbsent(t, err, tt.want, "install Python 3.11")
		})
	}
}
