package clients_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/host/tools"
)

// program is a program in docs/call.md.
type program struct {
	language string // heading of its section
	file     string // a copy of the program in this folder

	// prepare runs or checks the install command in a folder with the program. It returns environment variables.
	prepare func(t *testing.T, dir, install string) (env []string)
}

func programs() []program {
	return []program{
		{"Go", "go/main.go", prepareGo},
		{"TypeScript", "typescript/user.mts", prepareTypeScript},
		{"Python", "python/user.py", preparePython},
	}
}

// read returns the blocks of the section about the program.
func (p program) read(t *testing.T) (install, source, command string) {
	t.Helper()
	const block = "(?:[^`#]|`[^`\n]+`)+```[a-z]+\n(.*?)```\n" // and the text before it
	section := regexp.MustCompile(`(?s)\n### ` + p.language + "\n" + block + block + block)
	found := section.FindSubmatch(read(t, testenv.Root(t), "docs", "call.md"))
	if found == nil {
		t.Fatalf("docs/call.md: want a section %s with a command, a program and a command", p.language)
	}
	return string(found[1]), string(found[2]), string(found[3])
}

// TestProgramsOfPage checks that the programs in docs/call.md are those of [TestPrograms].
func TestProgramsOfPage(t *testing.T) {
	t.Parallel()
	for _, p := range programs() {
		t.Run(p.language, func(t *testing.T) {
			t.Parallel()
			_, source, _ := p.read(t)
			if d := gocmp.Diff(string(read(t, p.file)), source); d != "" {
				t.Errorf("docs/call.md differs from tests/clients/%s (-file +page):\n%s", p.file, d)
			}
		})
	}
}

// TestPrograms runs the programs in docs/call.md with a stage that accepts only signed requests.
func TestPrograms(t *testing.T) {
	t.Parallel()
	testenv.SkipUnlessAll(t)
	s := stacktest.Start(t, stacktest.Parameters(map[string]string{"Authorization": "AWS_IAM"}))
	ids := []string{"1", "a~b.c_d-e", "a/b é~!+*"} // only another program can have written the last one
	for _, id := range ids {
		s.PutItem(t, stacktest.Item{"userId": &types.AttributeValueMemberS{Value: id}})
	}
	file, region := localCredentials(t, s)
	variables := []string{
		"INVOKE_URL=" + s.URL,
		"AWS_SHARED_CREDENTIALS_FILE=" + file, "AWS_REGION=" + region,
		"AWS_CONFIG_FILE=" + os.DevNull, "AWS_EC2_METADATA_DISABLED=true",
	}
	for _, p := range programs() {
		t.Run(p.language, func(t *testing.T) {
			t.Parallel()
			install, _, command := p.read(t)
			dir := t.TempDir()
			write(t, read(t, p.file), dir, filepath.Base(p.file))
			env := append(slices.Clone(variables), p.prepare(t, dir, install)...)
			command, ok := strings.CutSuffix(command, " http://127.0.0.1:3000/prod 1\n")
			if !ok {
				t.Fatalf("want the arguments http://127.0.0.1:3000/prod and 1 in %q", command)
			}
			// Node.js 20 cannot run TypeScript.
			command = strings.Replace(command, ".mts", ".mjs", 1) + ` "$INVOKE_URL" "$USER_ID"`
			for _, id := range ids {
				printed := bash(t, dir, append(env, "USER_ID="+id), command)
				var user struct{ UserID string }
				err := json.Unmarshal([]byte(strings.TrimPrefix(printed, "200 ")), &user)
				if err != nil || user.UserID != id {
					t.Errorf("%q: the program printed %q, want the user", id, printed)
				}
			}
		})
	}
}

// bash runs commands in a folder and returns their output. It removes variables of the user that select credentials.
func bash(t *testing.T, dir string, env []string, commands string) string {
	t.Helper()
	const unset = "unset AWS_PROFILE AWS_DEFAULT_PROFILE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN\n"
	return run(t, dir, env, "bash", "-e", "-c", unset+commands)
}

// prepareGo runs the install command with a module proxy that has the Go client of this checkout.
func prepareGo(t *testing.T, dir, install string) []string {
	t.Helper()
	cache := strings.TrimSpace(run(t, dir, nil, "go", "env", "GOMODCACHE"))
	others := strings.TrimSpace(run(t, dir, nil, "go", "env", "GOPROXY"))
	proxies := fmt.Sprintf("file://%s,file://%s/cache/download,%s", publishClient(t), filepath.ToSlash(cache), others)
	env := []string{
		"GOPROXY=" + proxies, "GOSUMDB=off", "GONOPROXY=none", "GOMODCACHE=" + t.TempDir(),
		"GOFLAGS=-modcacherw -trimpath", "GOWORK=off",
	}
	bash(t, dir, env, install)
	return env
}

// publishClient returns a folder with the files of a module proxy that has a version of the Go client
// (https://go.dev/ref/mod#goproxy-protocol).
func publishClient(t *testing.T) string {
	t.Helper()
	const version = "v0.1.0"
	source, proxy := filepath.Join(testenv.Root(t), "shared", "client"), t.TempDir()
	mod := read(t, source, "go.mod")
	client := module.Version{Path: modfile.ModulePath(mod), Version: version}
	path, err := module.EscapePath(client.Path)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(proxy, filepath.FromSlash(path), "@v")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	write(t, []byte(version+"\n"), dir, "list")
	write(t, []byte(`{"Version": "`+version+`"}`), dir, version+".info")
	write(t, mod, dir, version+".mod")
	archive, err := os.Create(filepath.Join(dir, version+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(zip.CreateFromDir(archive, client, source), archive.Close()); err != nil {
		t.Fatal(err)
	}
	return proxy
}

// prepareTypeScript compiles the program with the packages of package.json.
func prepareTypeScript(t *testing.T, dir, install string) []string {
	t.Helper()
	env := packages(t, "typescript")
	checkInstalled(t, install, "npm install ", string(read(t, "typescript", "package.json")), `"%s": "`)
	compile(t, env, dir, "--skipLibCheck") // the types of the packages take half a minute
	return nil
}

// preparePython returns the variables of an environment with the packages of requirements.txt. It skips the test
// without Python, except in CI.
func preparePython(t *testing.T, _, install string) []string {
	t.Helper()
	requirements := read(t, "python", "requirements.txt")
	checkInstalled(t, install, "pip install ", "\n"+string(requirements), "\n%s==")
	env, err := tools.Python(t.Context(), requirements, func(step string) { t.Log(step) })
	testenv.SkipAbsent(t, err)
	programs := filepath.Dir(env.Program("python3"))
	return []string{"PATH=" + programs + string(filepath.ListSeparator) + os.Getenv("PATH")}
}

// checkInstalled checks that the packages in the command install are those of a list, where format matches a package.
func checkInstalled(t *testing.T, install, command, list, format string) {
	t.Helper()
	names, ok := strings.CutPrefix(install, command)
	if !ok {
		t.Errorf("want %q, got %q", command, install)
	}
	for name := range strings.FieldsSeq(names) {
		if !strings.Contains(list, fmt.Sprintf(format, name)) {
			t.Errorf("docs/call.md: got the package %s, want only packages that the tests install", name)
		}
	}
}
