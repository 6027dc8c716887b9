package tools_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/host/tools"
)

const (
	packageJSON = `{"private": true, "dependencies": {"semver": "7.7.2"}}`
	lock        = `{
  "lockfileVersion": 3,
  "requires": true,
  "packages": {
    "": {"dependencies": {"semver": "7.7.2"}},
    "node_modules/semver": {
      "version": "7.7.2",
      "integrity": "sha512-RF0Fw+rO5AMf9MAyaRXI4AV0Ulj5lMHqVxxdSgiVbixSCXoEmmX/jk0CuJw4+3SqroYO9VoUh+HcuJivvtJemA==",
      "bin": {"semver": "bin/semver.js"}
    }
  }
}`
)

// requireNPM skips the test with -short, and outside CI if there is no npm.
func requireNPM(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs npm and the network")
	}
	err := tools.ProbeNode(t.Context())
	if errors.Is(err, tools.ErrAbsent) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func wantSemver(t *testing.T, env *tools.Env) {
	t.Helper()
	out, err := exec.Command(env.Program("semver"), "1.2.3", "--increment").CombinedOutput()
	if got := strings.TrimSpace(string(out)); err != nil || got != "1.2.4" {
		t.Errorf("got %s, %v, want 1.2.4", got, err)
	}
	manifest, err := os.ReadFile(env.Path("semver", "package.json"))
	if err != nil || !strings.Contains(string(manifest), `"version": "7.7.2"`) {
		t.Errorf("got %s, %v, want version 7.7.2", manifest, err)
	}
}

func TestNode_IsInstalledOnce(t *testing.T) {
	t.Parallel()
	requireNPM(t)
	parent := t.TempDir()
	wantInstalledOnce(t, func(progress func(string)) (*tools.Env, error) {
		return tools.NodeIn(t.Context(), parent, []byte(packageJSON), []byte(lock), progress)
	}, wantSemver)
}

func TestNode_Refuses(t *testing.T) {
	t.Parallel()
	requireNPM(t)
	for name, test := range map[string]struct{ packageJSON, lock, want string }{
		"other checksum":                {packageJSON, strings.Replace(lock, "sha512-RF0F", "sha512-RF0G", 1), "EINTEGRITY"},
		"package missing from the lock": {`{"private": true, "dependencies": {"semver": "7.7.2", "ms": "2.1.3"}}`, lock, "Missing: ms@2.1.3 from lock file"},
		"invalid lock":                  {packageJSON, "{", "package-lock.json"},
		"version missing from the lock": {strings.Replace(packageJSON, "7.7.2", "7.7.1", 1), lock, "Invalid: lock file's semver@7.7.2"},
		"invalid package.json":          {"{", lock, "EJSONPARSE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent := t.TempDir()
			_, err := tools.NodeIn(t.Context(), parent, []byte(test.packageJSON), []byte(test.lock), func(string) {})
			if err == nil || !strings.Contains(err.Error(), test.want) || errors.Is(err, tools.ErrAbsent) {
				t.Errorf("got error %v, want %q in it", err, test.want)
			}
			left, err := filepath.Glob(filepath.Join(parent, "*"))
			if err != nil || len(left) != 1 || filepath.Ext(left[0]) != ".lock" {
				t.Errorf("got %q, %v, want only the lock file", left, err)
			}
		})
	}
}

func TestNode_InterruptedIsReinstalled(t *testing.T) {
	t.Parallel()
	requireNPM(t)
	parent := t.TempDir()
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err := tools.NodeIn(ctx, parent, []byte(packageJSON), []byte(lock), func(string) { cancel(stopped) })
	if !errors.Is(err, stopped) {
		t.Fatalf("got error %v, want %v", err, stopped)
	}
	guards, err := filepath.Glob(filepath.Join(parent, "*.lock"))
	if err != nil || len(guards) != 1 {
		t.Fatalf("got %q, %v, want one lock", guards, err)
	}
	leftover := filepath.Join(strings.TrimSuffix(guards[0], ".lock")+".partial", "leftover") // of a killed process
	if err := errors.Join(os.Mkdir(filepath.Dir(leftover), 0o750), os.WriteFile(leftover, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	env, err := tools.NodeIn(t.Context(), parent, []byte(packageJSON), []byte(lock), func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	wantSemver(t, env)
	if _, err := os.Stat(env.Path("..", "leftover")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got error %v, want the leftover removed", err)
	}
}

func TestNode_NoneSuitable(t *testing.T) {
	for name, test := range map[string]struct {
		programs map[string]string // shell commands by the name of the program
		want     string
	}{
		"none":    {nil, "executable file not found"},
		"too old": {map[string]string{"node": `echo "Error: it is Node.js 18.20.0" >&2; exit 1`}, "it is Node.js 18.20.0"},
		"no npm":  {map[string]string{"node": `echo v20.0.0 linux x64`}, `"npm": executable file not found`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for program, body := range test.programs {
				script(t, filepath.Join(dir, program), body)
			}
			t.Setenv("PATH", dir)
			_, err := tools.Node(t.Context(), []byte(packageJSON), []byte(lock), func(string) {})
			wantAbsent(t, err, test.want, "install Node.js 20")
		})
	}
}

// TestNode_OldVersion checks that the probe compares the version.
func TestNode_OldVersion(t *testing.T) {
	requireNPM(t)
	program, err := exec.LookPath("node")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script(t, filepath.Join(dir, "node"),
		`exec "`+program+`" -e 'Object.defineProperty(process, "versions", {value: {node: "18.20.0"}}); eval(process.argv[1])' "$2"`)
	t.Setenv("PATH", dir)
	_, err = tools.Node(t.Context(), []byte(packageJSON), []byte(lock), func(string) {})
	wantAbsent(t, err, "it is Node.js 18.20.0", "install Node.js 20")
}

// TestNode_InterruptedBefore checks that an ended context is not reported as a missing program.
func TestNode_InterruptedBefore(t *testing.T) {
	t.Parallel()
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stopped)
	_, err := tools.NodeIn(ctx, t.TempDir(), []byte(packageJSON), []byte(lock), func(string) {})
	if !errors.Is(err, stopped) || errors.Is(err, tools.ErrAbsent) {
		t.Errorf("got error %v, want %v", err, stopped)
	}
}
