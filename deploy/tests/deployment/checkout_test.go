package deployment_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/tests/emulator"
)

const stageName = "emulator"

// service is the workspace that the tests deploy.
const service = "../../testdata/service"

// programsVariable is the folder of the programs that mage's targets start.
const programsVariable = "TEST_PROGRAMS"

func TestMain(m *testing.M) { stacktest.Main(m, buildPrograms) }

// buildPrograms is a [stacktest.Fixture] that builds the programs as mage's targets compile them.
func buildPrograms(ctx context.Context) (stop func() error, err error) {
	dir, err := os.MkdirTemp("", "programs-")
	if err != nil {
		return nil, fmt.Errorf("build the programs: %w", err)
	}
	const programs = "github.com/userrequestapi/userdata/deploy/cmd/"
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", dir, programs+"release", programs+"observe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("build the programs: %w\n%s", err, out), os.RemoveAll(dir))
	}
	return func() error { return os.RemoveAll(dir) }, os.Setenv(programsVariable, dir)
}

// checkout is a copy of the service that a test may change, and the account to which it is deployed.
type checkout struct {
	t       *testing.T
	dir     string
	temp    string
	account *emulator.Account
}

// newDeployer returns a user of a new account with only the permissions of the policy. The bucket policy requires TLS.
func newDeployer(t *testing.T) *emulator.Account {
	t.Helper()
	return emulator.StartTLS(t).User(t, "deployer", deployerPolicy(t))
}

func newCheckout(t *testing.T, account *emulator.Account) *checkout {
	t.Helper()
	c := &checkout{t: t, dir: t.TempDir(), temp: t.TempDir(), account: account}
	if err := os.CopyFS(c.dir, os.DirFS(service)); err != nil {
		t.Fatal(err)
	}
	c.setStage(nil)
	return c
}

// write writes a file of the checkout.
func (c *checkout) write(path, content string) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, path), []byte(content), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// edit replaces a string that the file contains once.
func (c *checkout) edit(path, old, replacement string) {
	c.t.Helper()
	content := c.read(path)
	if n := strings.Count(content, old); n != 1 {
		c.t.Fatalf("%s contains %q %d times, want once", path, old, n)
	}
	c.write(path, strings.Replace(content, old, replacement, 1))
}

// setStage writes the stage's parameters: those that an emulated account needs, and others.
func (c *checkout) setStage(others map[string]string) {
	c.t.Helper()
	architecture := map[string]string{"amd64": "x86_64", "arm64": "arm64"}[runtime.GOARCH]
	parameters := map[string]string{"Architecture": architecture, "Monitoring": "false"}
	maps.Copy(parameters, others)
	encoded, err := json.Marshal(map[string]any{"parameters": parameters}) // YAML is a superset of JSON
	if err != nil {
		c.t.Fatal(err)
	}
	c.write("deploy/stages/"+stageName+".yaml", string(encoded))
}

// result is the output and exit code of a target.
type result struct {
	code   int
	stdout string
	stderr string
}

func (r result) String() string { return r.stdout + r.stderr }

// command returns a target as a process.
func (c *checkout) command(environment []string, target string, args ...string) *exec.Cmd {
	program := "release"
	if target == "logs" {
		program = "observe"
	}
	cmd := exec.Command(filepath.Join(os.Getenv(programsVariable), program), append([]string{target}, args...)...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), c.account.Env()...)
	cmd.Env = append(cmd.Env, "STAGE="+stageName, "POLL=100ms", // the emulated account is faster than AWS
		"TMPDIR="+c.temp, // removes what a killed deployment leaves there
		"INVOKE_URL="+c.account.InvokeURL("{ApiId}", "{StageName}"), "AWS_CALLS="+c.callsFile())
	cmd.Env = append(cmd.Env, environment...)
	return cmd
}

// run runs a target and returns its result.
func (c *checkout) run(environment []string, target string, args ...string) result {
	c.t.Helper()
	cmd := c.command(environment, target, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// must runs a target that must succeed.
func (c *checkout) must(environment []string, target string, args ...string) result {
	c.t.Helper()
	r := c.run(environment, target, args...)
	if r.code != 0 {
		c.t.Fatalf("%s %v: exit code %d, want 0\n%s", target, args, r.code, r)
	}
	return r
}

// message is a line of a target's output with JSON=1.
type message struct {
	Event    string
	Message  string
	Resource string
	Status   string
	Changes  []change
	Result   json.RawMessage
}

type change struct{ Action, LogicalID, Type, Replacement string }

func (r result) messages(t *testing.T) []message {
	t.Helper()
	var messages []message
	decoder := json.NewDecoder(strings.NewReader(r.stdout))
	for {
		var m message
		err := decoder.Decode(&m)
		if errors.Is(err, io.EOF) {
			return messages
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, r)
		}
		messages = append(messages, m)
	}
}

// planned returns the planned changes to functions and their versions, such as "Modify GetFunction", in order, with the
// ids of versions without digests. The emulator's change sets are not reliable for the rest: they contain resources
// whose condition is false, and lack those that change only because another one does.
func (r result) planned(t *testing.T) []string {
	t.Helper()
	changes := []string{}
	for _, m := range r.messages(t) {
		if m.Event != "plan" {
			continue
		}
		for _, c := range m.Changes {
			switch c.Type {
			case "AWS::Lambda::Function", "AWS::DynamoDB::Table":
				changes = append(changes, c.Action+" "+c.LogicalID)
			case "AWS::Lambda::Version":
				changes = append(changes, c.Action+" "+c.LogicalID[:len(c.LogicalID)-digestLength])
			}
		}
	}
	slices.Sort(changes)
	return changes
}

// contains reports whether the output contains a string.
func (r result) contains(str string) bool { return strings.Contains(r.String(), str) }

// outputs returns the stack outputs in the target's result.
func (r result) outputs(t *testing.T) map[string]string {
	t.Helper()
	messages := r.messages(t)
	outputs := map[string]string{}
	if len(messages) == 0 {
		t.Fatalf("got no JSON line, want a result in the last one: %s", r)
	}
	if err := json.Unmarshal(messages[len(messages)-1].Result, &outputs); err != nil {
		t.Fatalf("%v in\n%s", err, r)
	}
	return outputs
}

// call sends a request to the deployed stage.
func (c *checkout) call(apiID, method, path, body string) (status int, header http.Header, response string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(
		c.t.Context(),
		method,
		c.account.InvokeURL(apiID, stageName)+path,
		strings.NewReader(body),
	)
	if err != nil {
		c.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	client := c.account.SignedClient()
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(content)
}
