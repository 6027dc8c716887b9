package check_test

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/userrequestapi/userdata/deploy/check"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/docs/generate"
)

// contract is the API document, relative to the workspace.
const contract = "deploy/openapi.yaml"

func TestMain(m *testing.M) {
	_ = os.Unsetenv("CGO_ENABLED") // set if check.Test runs this test; the race detector needs cgo
	goleak.VerifyTestMain(m)
}

// clean returns the files of a workspace of two modules without findings.
func clean() map[string]string {
	return map[string]string{
		"go.work":  "go 1.26.0\n\nuse (\n\t.\n\t./a\n)\n",
		"go.mod":   "module example.com/root\n\ngo 1.26.0\n",
		"root.go":  "// Package root is empty.\npackage root\n",
		"a/go.mod": "module example.com/a\n\ngo 1.26.0\n",
		"a/a.go":   "// Package a adds.\npackage a\n\n// Add returns the sum.\nfunc Add(x, y int) int { return x + y }\n",
		"a/a_test.go": `package a_test

import (
	"testing"

	"example.com/a"
)

func TestAdd(t *testing.T) {
	if got := a.Add(1, 2); got != 3 {
		t.Errorf("got %d, want 3", got)
	}
}
`,
	}
}

// workspace writes the clean workspace with changes and returns its folder.
func workspace(t *testing.T, changes map[string]string) string {
	t.Helper()
	files := clean()
	maps.Copy(files, changes)
	return testenv.Folder(t, files)
}

func TestTest(t *testing.T) {
	t.Parallel()
	const header = "package a_test\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\n"
	tests := []struct {
		name  string
		file  string
		short bool
		fails bool
		want  string
	}{
		{
			"passes the endpoint",
			header + `func TestB(t *testing.T) {
	if got := os.Getenv("DYNAMODB_ENDPOINT"); got != "http://127.0.0.1:1" || testing.Short() {
		t.Error(got, testing.Short())
	}
}`, false, false, "ok  \texample.com/a",
		},
		{
			"passes short",
			header + `func TestB(t *testing.T) {
	if !testing.Short() {
		t.Error(os.Args)
	}
}`, true, false, "ok  \texample.com/a",
		},
		{
			"fails with a test",
			header + `func TestB(t *testing.T) { t.Error(os.Getppid()) }`, false, true, "--- FAIL: TestB",
		},
		{
			"fails with a data race",
			header + `func TestB(*testing.T) {
	done, n := make(chan bool), os.Getppid()
	go func() { n++; done <- true }()
	n++
	<-done
	_ = n
}`, false, true, "WARNING: DATA RACE",
		},
		{
			"fails with a panic in another module than the root", header + `func init() { panic(os.Args[0]) }
func TestB(*testing.T) {}`, false, true, "panic: ",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			err := check.Test(t.Context(), check.TestOptions{
				Root:     workspace(t, map[string]string{"a/b_test.go": tt.file}),
				Short:    tt.short,
				Endpoint: "http://127.0.0.1:1",
				Out:      &out,
			})
			if strings.Contains(tt.want, "RACE") && strings.Contains(out.String(), "without the race detector") {
				t.Skip("no C compiler")
			}
			if (err != nil) != tt.fails {
				t.Errorf("error = %v, want one: %t", err, tt.fails)
			}
			if !strings.Contains(out.String(), tt.want) {
				t.Errorf("output does not contain %q:\n%s", tt.want, out.String())
			}
		})
	}
}

func TestTest_Summary(t *testing.T) {
	t.Parallel()
	root := workspace(t, map[string]string{"a/b_test.go": `package a_test

import (
	"os"
	"testing"
)

func TestSummary(t *testing.T) {
	file, err := os.OpenFile(os.Getenv("TEST_SUMMARY"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("all is covered\n"); err != nil {
		t.Fatal(err)
	}
}
`})
	var out strings.Builder
	if err := check.Test(t.Context(), check.TestOptions{Root: root, Short: true, Out: &out}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if want := "all is covered\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("output = %q, want %q at its end", out.String(), want)
	}
}

// TestTest_WithoutRaceDetector checks that the tests run without a C compiler.
func TestTest_WithoutRaceDetector(t *testing.T) {
	t.Setenv("CGO_ENABLED", "0")
	root := workspace(t, map[string]string{"a/b_test.go": "package a_test\n\nimport \"testing\"\n\nfunc TestB(*testing.T) {}\n"})
	var out strings.Builder
	if err := check.Test(t.Context(), check.TestOptions{Root: root, Short: true, Out: &out}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{"without the race detector", "ok  \texample.com/a"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output = %q, want it to contain %q", out.String(), want)
		}
	}
}

func TestTest_StartsDynamoDBLocal(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs Java")
	}
	var out strings.Builder
	root := workspace(t, map[string]string{"a/b_test.go": `package a_test

import (
	"net/http"
	"os"
	"testing"
)

func TestEndpoint(t *testing.T) {
	endpoint := os.Getenv("DYNAMODB_ENDPOINT")
	response, err := http.Get(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := os.WriteFile("endpoint", []byte(endpoint), 0o600); err != nil {
		t.Fatal(err)
	}
}
`})
	if err := check.Test(t.Context(), check.TestOptions{Root: root, Out: &out}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	endpoint, err := os.ReadFile(filepath.Join(root, "a", "endpoint"))
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, string(endpoint), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err == nil {
		_ = response.Body.Close()
		t.Errorf("DynamoDB Local responds at %s, want it stopped", endpoint)
	}
}

func TestTest_Cancel(t *testing.T) {
	t.Parallel()
	stop := errors.New("stop pressed")
	ctx, cancel := context.WithCancelCause(t.Context())
	root := workspace(t, map[string]string{"a/b_test.go": `package a_test

import (
	"os"
	"testing"
)

func TestHang(*testing.T) {
	_ = os.Mkdir("hangs", 0o700)
	select {}
}

func TestKeepsTheRuntimeFromSeeingADeadlock(t *testing.T) {
	t.Parallel()
	select {}
}
`})
	ended := make(chan error, 1)
	go func() {
		ended <- check.Test(ctx, check.TestOptions{Root: root, Short: true, Out: io.Discard})
	}()
	testenv.Eventually(t, "the test that hangs", func() bool {
		_, err := os.Stat(filepath.Join(root, "a", "hangs"))
		return err == nil
	})
	cancel(stop)
	if err := <-ended; !errors.Is(err, stop) {
		t.Errorf("error = %v, want %v", err, stop)
	}
}

func TestFuzz(t *testing.T) {
	t.Parallel()
	root := workspace(t, map[string]string{"a/b_test.go": `package a_test

import (
	"testing"

	"example.com/a"
)

func FuzzAdd(f *testing.F) {
	f.Fuzz(func(t *testing.T, x, y int) {
		if a.Add(x, y) != a.Add(y, x) {
			t.Error(x, y)
		}
	})
}

func FuzzBreaks(f *testing.F) {
	f.Add(1)
	f.Fuzz(func(t *testing.T, x int) {
		if a.Add(x, x) != 0 {
			t.Error(x)
		}
	})
}
`})
	var out strings.Builder
	err := check.Fuzz(t.Context(), check.FuzzOptions{Root: root, Time: time.Second, Out: &out})
	if err == nil || !strings.Contains(err.Error(), "FuzzBreaks in example.com/a") ||
		strings.Contains(err.Error(), "FuzzAdd") {
		t.Errorf("error = %v, want FuzzBreaks alone", err)
	}
	if !strings.Contains(out.String(), "FuzzAdd in example.com/a\n") {
		t.Errorf("output does not contain FuzzAdd:\n%s", out.String())
	}
}

func TestLint(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		linter  string
		changes map[string]string
		want    []string // in the output; none: nothing is found
	}{
		{"formatted", "gofmt", nil, nil},
		{
			"not formatted", "gofmt", map[string]string{"a/b.go": "package a\nvar  B = 1\n"},
			[]string{"FAIL  gofmt", "a/b.go\n"},
		},
		{"not Go", "gofmt", map[string]string{"a/b.go": "package a\nvar"}, []string{"FAIL  gofmt", "a/b.go:2:"}},
		{"tidy", "go mod tidy", nil, nil},
		{
			"not tidy", "go mod tidy",
			map[string]string{
				"a/go.mod":   "module example.com/a\n\ngo 1.26.0\n\nrequire example.com/b v1.0.0\n\nreplace example.com/b => ../b\n",
				"b/go.mod":   "module example.com/b\n\ngo 1.26.0\n",
				"b/b.go":     "package b\n",
				"a/.ignored": "",
			},
			[]string{"-require example.com/b v1.0.0", "run GOWORK=off go mod tidy in a\n"},
		},
		{"compiles on all systems", "other systems", nil, nil},
		{
			"compiles on one system", "other systems",
			map[string]string{"a/b.go": "package a\n\nimport \"syscall\"\n\nvar B = syscall.Kill\n"},
			[]string{"FAIL  other systems", "windows: ", "a/b.go:5:17: undefined: syscall.Kill", "move system calls to files for one system"},
		},
		{"in sync", "go work sync", nil, nil},
		{
			"not in sync", "go work sync",
			map[string]string{
				"go.mod":   "module example.com/root\n\ngo 1.26.0\n\nrequire example.com/b v1.1.0\n\nreplace example.com/b => ./b\n",
				"root.go":  "package root\n\nimport _ \"example.com/b\"\n",
				"a/go.mod": "module example.com/a\n\ngo 1.26.0\n\nrequire example.com/b v1.0.0\n\nreplace example.com/b => ../b\n",
				"a/b.go":   "package a\n\nimport _ \"example.com/b\"\n",
				"b/go.mod": "module example.com/b\n\ngo 1.26.0\n",
				"b/b.go":   "package b\n",
			},
			[]string{"a/go.mod: example.com/b@v1.0.0, want v1.1.0\n", "run go work sync"},
		},
		{"nothing to vet", "go vet", nil, nil},
		{
			"vet finds a wrong verb", "go vet",
			map[string]string{"a/b.go": "package a\n\nimport \"fmt\"\n\n// B prints.\nfunc B() { fmt.Printf(\"%d\", \"x\") }\n"},
			[]string{"a/b.go:6:", "wrong type string"},
		},
		{
			"vet checks the magefile", "go vet",
			map[string]string{"root.go": "//go:build mage\n\npackage main\n\nfunc Target() { undefined() }\n"},
			[]string{"root.go:5:17"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			root := workspace(t, tt.changes)
			before := snapshot(t, root)
			var out strings.Builder
			err := check.Lint(t.Context(), check.LintOptions{Root: root, Only: []string{tt.linter}, Out: &out})
			if (err != nil) != (tt.want != nil) {
				t.Errorf("error = %v, want one: %t", err, tt.want != nil)
			}
			if tt.want == nil && !strings.HasPrefix(out.String(), "ok    "+tt.linter) {
				t.Errorf("output = %q, want ok", out.String())
			}
			for _, want := range tt.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("output does not contain %q:\n%s", want, out.String())
				}
			}
			if after := snapshot(t, root); !maps.Equal(before, after) {
				t.Errorf("workspace = %v, want it unchanged: %v", after, before)
			}
		})
	}
}

// TestLint_Template checks the findings of each linter of the template or the contract. Only test:all runs all cases,
// for example those of cfn-lint, which takes seconds per file.
func TestLint_Template(t *testing.T) {
	t.Parallel()
	const source = "deploy/template.yaml"
	tests := []struct {
		name   string
		linter string
		loads  bool // the linter may have to be downloaded
		long   bool // only test:all includes it
		file   string
		old    string // in the file
		new    string
		want   []string // in the output; none: nothing is found
	}{
		{name: "sound", linter: "house rules", long: true},
		{
			"breaks a house rule", "house rules", false, true, source, "TracingEnabled: true", "TracingEnabled: false",
			[]string{"FAIL  house rules", "Resources.ApiStage.Properties.TracingEnabled: ", "(stage-tracing)\n    with ", "Authorization=AWS_IAM"},
		},
		{
			"breaks a house rule in one variant", "house rules", false, false, source, "            Principal:\n              Service: codedeploy", "            Principal:\n              Service: lambda",
			[]string{"Resources.ReleaseRole.Properties.AssumeRolePolicyDocument: ", "DeploymentPreference=Canary10Percent5Minutes"},
		},
		{
			"cannot be rendered", "house rules", false, false, contract, "x-function: PostFunction", "x-function: NoFunction",
			[]string{"want a function of template.yaml, got NoFunction"},
		},
		{name: "sound", linter: "cfn-lint", loads: true, long: true},
		{
			"no such value", "cfn-lint", true, true, source, "BillingMode: PAY_PER_REQUEST", "BillingMode: PAY_PER_USER",
			[]string{"FAIL  cfn-lint", "'PAY_PER_USER' is not one of", "API_KEY.json:", "AWS_IAM.json:", "COGNITO_USER_POOLS.json:", "NONE.json:"},
		},
		{name: "sound", linter: "OpenAPI", loads: true, long: true},
		{
			"no required property", "OpenAPI", true, false, contract, "required: [userId]", "required: []",
			[]string{"FAIL  OpenAPI", contract + ": ", "should be non-empty"},
		},
		{name: "sound", linter: "Spectral", loads: true, long: true},
		{
			"no description", "Spectral", true, false, contract, "      description: Same as DELETE `/users/{userId}`.\n", "",
			[]string{"FAIL  Spectral", "\n" + contract + ":", "operation-description"},
		},
		{
			"relative link", "Spectral", true, true, contract, "Same as DELETE `/users/{userId}`.", "See [the guide](docs/call.md).",
			[]string{"FAIL  Spectral", "\n" + contract + ":", "links-are-absolute"},
		},
		{
			"example that is not valid", "Spectral", true, true, contract, "status: 404", "status: none",
			[]string{"FAIL  Spectral", "\n" + contract + ":", "oas3-valid-media-example"},
		},
		{
			"finding with an exception for another path", "Spectral", true, true, contract, "url: https://{api}", "url: http://{api}",
			[]string{"FAIL  Spectral", "\n" + contract + ":", "owasp:api8:2023-no-server-http"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.linter+", "+tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.loads && testing.Short() {
				t.Skip("may download the linter")
			}
			if tt.long {
				testenv.SkipUnlessAll(t)
			}
			files := template(t)
			if !strings.Contains(files[tt.file], tt.old) {
				t.Fatalf("%s has no %q to replace", tt.file, tt.old)
			}
			if tt.file != "" {
				files[tt.file] = strings.Replace(files[tt.file], tt.old, tt.new, 1)
			}
			var out strings.Builder
			err := check.Lint(t.Context(), check.LintOptions{Root: workspace(t, files), Only: []string{tt.linter}, Out: &out})
			if strings.HasPrefix(out.String(), "skip  ") {
				t.Skip(out.String())
			}
			if (err != nil) != (tt.want != nil) {
				t.Errorf("error = %v, want one: %t\n%s", err, tt.want != nil, out.String())
			}
			for _, want := range tt.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("output does not contain %q:\n%s", want, out.String())
				}
			}
		})
	}
}

// template returns the template and contract of the fixture.
func template(t *testing.T) map[string]string {
	t.Helper()
	files := make(map[string]string)
	for _, name := range []string{"template.yaml", "openapi.yaml"} {
		content, err := os.ReadFile(filepath.Join("..", "testdata", "service", "deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		files["deploy/"+name] = string(content)
	}
	return files
}

// TestLint_GeneratedFiles checks that outdated generated files are reported.
func TestLint_GeneratedFiles(t *testing.T) {
	t.Parallel()
	files := tools(t)
	service := os.DirFS("../docs/generate/testdata/service")
	for _, name := range []string{contract, "shared/client/api/oapi-codegen.yaml", "shared/client/api/overlay.yaml"} {
		content, err := fs.ReadFile(service, name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(content)
	}
	root := workspace(t, files)
	lint := func() (string, error) {
		var out strings.Builder
		err := check.Lint(t.Context(), check.LintOptions{Root: root, Only: []string{"generated files"}, Out: &out})
		return out.String(), err
	}
	if got, err := lint(); err == nil || !strings.Contains(got, "FAIL  generated files") ||
		!strings.Contains(got, "\nshared/client/api/operations.go\n") {
		t.Errorf("output = %q, error = %v, want the missing client", got, err)
	}
	if err := generate.All(t.Context(), root, io.Discard); err != nil {
		t.Fatal(err)
	}
	if got, err := lint(); err != nil || !strings.HasPrefix(got, "ok    generated files") {
		t.Errorf("output = %q, error = %v, want ok", got, err)
	}
}

func TestLint_WithoutPythonAndNode(t *testing.T) {
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Dir(tool)) // which has no Python and Node.js
	for _, program := range []string{"python3", "node"} {
		if path, err := exec.LookPath(program); err == nil {
			t.Skipf("%s is in the folder of the go command", path)
		}
	}
	for linter, install := range map[string]string{
		"cfn-lint": "install Python 3.11", "OpenAPI": "install Python 3.11", "Spectral": "install Node.js 20",
	} {
		t.Run(linter, func(t *testing.T) {
			lint := func() (string, error) {
				var out strings.Builder
				err := check.Lint(t.Context(), check.LintOptions{Root: workspace(t, template(t)), Only: []string{linter}, Out: &out})
				return out.String(), err
			}
			t.Setenv("CI", "")
			if got, err := lint(); err != nil || !strings.HasPrefix(got, "skip  "+linter+": ") || strings.Count(got, "\n") != 1 {
				t.Errorf("output = %q, error = %v, want one line with skip", got, err)
			}
			t.Setenv("CI", "true") // where a skip is an error
			if got, err := lint(); err == nil || !strings.HasPrefix(got, "FAIL  "+linter) || !strings.Contains(got, install) {
				t.Errorf("output = %q, error = %v, want a failure with what to install", got, err)
			}
		})
	}
}

// snapshot returns the content of all files below root.
func snapshot(t *testing.T, root string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	fsys := os.DirFS(root)
	err := fs.WalkDir(fsys, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(fsys, path)
		files[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestLint_ReportsAllAtTheEnd(t *testing.T) {
	t.Parallel()
	root := workspace(t, map[string]string{"a/b.go": "package a\nfunc b() int { return \"\" }\n"})
	var out strings.Builder
	err := check.Lint(t.Context(), check.LintOptions{
		Root: root, Only: []string{"gofmt", "go vet", "go work sync"}, Color: true, Out: &out,
	})
	if want := "lint: failed: gofmt, go vet"; err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
	rest := out.String()
	for _, want := range []string{
		"\x1b[31mFAIL\x1b[0m  gofmt (", "\x1b[32mok\x1b[0m    go work sync (", "\x1b[31mFAIL\x1b[0m  go vet (",
		"\x1b[1m== gofmt\x1b[0m\na/b.go\n", "\x1b[1m== go vet\x1b[0m\n", "a/b.go:2:",
	} {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("output does not contain %q in this order:\n%s", want, out.String())
		}
		rest = after
	}
}

func TestLint_UnknownLinter(t *testing.T) {
	t.Parallel()
	err := check.Lint(t.Context(), check.LintOptions{Root: workspace(t, nil), Only: []string{"golint"}, Out: io.Discard})
	if err == nil || !strings.Contains(err.Error(), `no linter "golint": choose from gofmt, `) {
		t.Errorf("error = %v, want the names of the linters", err)
	}
}

func TestLint_VulnerabilityDatabaseUnreachable(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	proxy := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(proxy.Close)
	for _, database := range []string{closed.URL, proxy.URL} {
		var out strings.Builder
		err := check.Lint(t.Context(), check.LintOptions{
			Root: workspace(t, nil), Only: []string{"govulncheck"}, Vulnerabilities: database, Out: &out,
		})
		if err != nil {
			t.Error(err)
		}
		want := "skip  govulncheck: " + database + " cannot be reached: "
		if got := out.String(); !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 1 {
			t.Errorf("output = %q, want one line that begins with %q", got, want)
		}
	}
}

func TestLint_Vulnerability(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("may download the tool")
	}
	tests := []struct {
		name  string
		fixed string // the version of Go that fixes os.Getppid
		fails bool
	}{
		{"vulnerable", "1.999.0", true},
		{"fixed", "1.1.0", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			database := httptest.NewServer(vulnerability(tt.fixed))
			t.Cleanup(database.Close)
			files := tools(t)
			files["a/b.go"] = "package a\n\nimport \"os\"\n\n// B returns an id.\nfunc B() int { return os.Getppid() }\n"
			var out strings.Builder
			err := check.Lint(t.Context(), check.LintOptions{
				Root: workspace(t, files), Only: []string{"govulncheck"}, Vulnerabilities: database.URL, Out: &out,
			})
			if (err != nil) != tt.fails || strings.Contains(out.String(), "GO-2026-0001") != tt.fails {
				t.Errorf("error = %v, want one: %t; output:\n%s", err, tt.fails, out.String())
			}
		})
	}
}

// tools returns a root module with the tools of this workspace.
func tools(t *testing.T) map[string]string {
	t.Helper()
	files := make(map[string]string)
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(content)
	}
	deploy, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	files["go.mod"] = strings.Replace(files["go.mod"], "=> ./deploy", "=> "+deploy, 1)
	return files
}

// vulnerability serves a database (https://go.dev/doc/security/vuln/database) with one entry, for os.Getppid.
func vulnerability(fixed string) http.Handler {
	const date = `"2026-01-01T00:00:00Z"`
	return serve(map[string]string{
		"/index/db.json":      `{"modified":` + date + `}`,
		"/index/modules.json": `[{"path":"stdlib","vulns":[{"id":"GO-2026-0001","modified":` + date + `,"fixed":"` + fixed + `"}]}]`,
		"/index/vulns.json":   `[{"id":"GO-2026-0001","modified":` + date + `}]`,
		"/ID/GO-2026-0001.json": `{"schema_version":"1.3.1","id":"GO-2026-0001","modified":` + date + `,"published":` + date + `,
			"summary":"os is broken","details":"os is broken",
			"database_specific":{"url":"https://pkg.go.dev/vuln/GO-2026-0001","review_status":"REVIEWED"},
			"affected":[{"package":{"name":"stdlib","ecosystem":"Go"},
				"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"` + fixed + `"}]}],
				"ecosystem_specific":{"imports":[{"path":"os","symbols":["Getppid"]}]}}]}`,
	})
}

// serve responds with files, and with gzipped files for names with .gz.
func serve(files map[string]string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, compressed := strings.CutSuffix(r.URL.Path, ".gz")
		content, found := files[name]
		switch {
		case !found:
			http.NotFound(w, r)
		case compressed:
			zipped := gzip.NewWriter(w)
			_, _ = io.WriteString(zipped, content)
			_ = zipped.Close()
		default:
			_, _ = io.WriteString(w, content)
		}
	})
}
