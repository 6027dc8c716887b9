package release_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/userrequestapi/userdata/deploy/aws/changeset/changesettest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/host/program"
	"github.com/userrequestapi/userdata/deploy/release"
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
	"github.com/userrequestapi/userdata/deploy/release/progress"
	"github.com/userrequestapi/userdata/deploy/release/stage"
)

func getenv(variables map[string]string) func(string) string {
	return func(name string) string { return variables[name] }
}

func TestFromEnvironment(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		variables map[string]string
		want      release.Settings
	}{
		{"defaults", nil, release.Settings{Settings: stage.Settings{Root: "root", Stage: "prod"}, Smoke: true, Drift: true, Serve: true}},
		{
			"all",
			map[string]string{
				"STAGE":         "dev",
				"SMOKE":         "0",
				"DRIFT":         "false",
				"JSON":          "1",
				"INVOKE_URL":    "http://127.0.0.1:1",
				"TOKEN":         "t",
				"REPLACE_TABLE": "r, s",
				"DELETE_TABLE":  "d",
				"CONFIRM":       "c",
				"AWS_CALLS":     "calls",
				"PORT":          "3001",
				"POLL":          "100ms",
				"SERVE":         "0",
				"REVERT_DRIFT":  "1",
			},
			release.Settings{
				Settings: stage.Settings{
					Root:      "root",
					Stage:     "dev",
					CallsFile: "calls",
					Poll:      100 * time.Millisecond,
				},
				InvokeURL:     "http://127.0.0.1:1",
				Token:         "t",
				ReplaceTables: []string{"r", "s"},
				DeleteTables:  []string{"d"},
				Confirm:       "c",
				Port:          3001,
				RevertDrift:   true,
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := release.FromEnvironment("root", os.Stdout, getenv(tt.variables))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(
				tt.want,
				got,
				cmpopts.EquateEmpty(),
				cmpopts.IgnoreFields(release.Settings{}, "Printer", "Ask", "Browse", "Line"),
			); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("all errors at once", func(t *testing.T) {
		t.Parallel()
		_, err := release.FromEnvironment("root", os.Stdout, getenv(map[string]string{"SMOKE": "no", "JSON": "yes"}))
		if code(err) != exitcode.Settings || !strings.Contains(err.Error(), "SMOKE") ||
			!strings.Contains(err.Error(), "JSON") {
			t.Errorf("error = %v with code %d, want SMOKE and JSON with code %d", err, code(err), exitcode.Settings)
		}
	})
	t.Run("an error as JSON", func(t *testing.T) {
		t.Parallel()
		out, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = out.Close() }()
		_, _ = release.FromEnvironment("root", out, getenv(map[string]string{"SMOKE": "no", "JSON": "1"}))
		printed, err := os.ReadFile(out.Name())
		if err != nil {
			t.Fatal(err)
		}
		contains(t, string(printed), `"event":"error"`, `"code":2`, "SMOKE")
	})
}

func TestPlan_TemporaryFolder(t *testing.T) {
	a := newAccount(t)
	t.Setenv("TMPDIR", filepath.Join(a.root, "gone"))
	a.fail(t, release.Plan, exitcode.Failed, []string{"TMPDIR", filepath.Join(a.root, "gone")})
}

// code returns the exit code of mage, from the outermost error.
func code(err error) int {
	if err == nil {
		return 0
	}
	if coded, ok := err.(interface{ ExitStatus() int }); ok {
		return coded.ExitStatus()
	}
	return -1
}

// workspace returns a workspace with the template of the fixture, a short API document and one stage.
func workspace(t *testing.T, stage string) string {
	t.Helper()
	root := t.TempDir()
	copyFile(t, filepath.Join(fixture, "template.yaml"), filepath.Join(root, "deploy", "template.yaml"))
	copyFile(t, filepath.Join("testdata", "openapi.yaml"), filepath.Join(root, contractFile))
	testenv.WriteFile(t, filepath.Join(root, "deploy", "stages", "test.yaml"), stage)
	return root
}

const contractFile = "deploy/openapi.yaml"

// fixture is the folder deploy of a service.
const fixture = "../testdata/service/deploy"

// setContract replaces the workspace's API document with that of the fixture.
func setContract(t *testing.T, root string) {
	t.Helper()
	copyFile(t, filepath.Join(fixture, "openapi.yaml"), filepath.Join(root, contractFile))
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	testenv.WriteFile(t, to, string(content))
}

// identity responds to sts:GetCallerIdentity only.
func identity(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(
		w,
		`<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
		<Arn>arn:aws:iam::123456789012:user/deployer</Arn><UserId>AIDA</UserId><Account>123456789012</Account>
		</GetCallerIdentityResult></GetCallerIdentityResponse>`,
	)
}

func refusal(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `<ErrorResponse><Error><Code>%s</Code><Message>no</Message></Error></ErrorResponse>`, code)
	}
}

// Errors in the settings, credentials or Region are reported before anything is built or changed.
func TestInvalidSettings(t *testing.T) {
	tests := []struct {
		name      string
		stage     string // the content of its file
		settings  release.Settings
		variables map[string]string
		account   http.HandlerFunc
		code      int
		want      string
	}{
		{
			name:     "no such stage",
			settings: release.Settings{Settings: stage.Settings{Stage: "tset"}},
			code:     exitcode.Settings,
			want:     `there is no stage "tset" (stages: test)`,
		},
		{
			name:  "unknown parameter",
			stage: "parameters: {Loglevel2: INFO}",
			code:  exitcode.Settings,
			want:  "did you mean LogLevel?",
		},
		{
			name: "value not allowed", stage: "parameters: {LogLevel: LOUD}", code: exitcode.Settings,
			want: `stages/test.yaml:1:24: LogLevel: "LOUD" is none of`,
		},
		{
			name: "values not allowed", stage: "parameters:\n  MemorySize: 64\n  LogRetentionDays: 1000000\n",
			code: exitcode.Settings, want: "\nstages/test.yaml:2:15: MemorySize: 64 is less than 128",
		},
		{
			name: "a fraction", stage: "parameters:\n  MemorySize: 256.5\n", code: exitcode.Settings,
			want: "stages/test.yaml:2:15: MemorySize: want a whole number, got 256.5",
		},
		{
			name: "user pool missing", stage: "parameters: {Authorization: COGNITO_USER_POOLS}", code: exitcode.Settings,
			want: "stages/test.yaml: UserPoolArn: Authorization=COGNITO_USER_POOLS needs",
		},
		{
			name: "no credentials", variables: map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
			code: exitcode.Account, want: "there are no AWS credentials",
		},
		{name: "no Region", variables: map[string]string{"AWS_REGION": ""}, code: exitcode.Account, want: "AWS_REGION"},
		{name: "expired", account: refusal(http.StatusForbidden, "ExpiredToken"), code: exitcode.Account, want: "expired"},
		{
			name:    "invalid",
			account: refusal(http.StatusForbidden, "InvalidClientTokenId"),
			code:    exitcode.Account,
			want:    "InvalidClientTokenId",
		},
		{
			name:  "another account",
			stage: `account: "999999999999"`,
			code:  exitcode.Account,
			want:  "belongs to account 999999999999 (deploy/stages/test.yaml), the credentials to 123456789012:",
		},
		{name: "another Region", stage: "region: us-west-2", code: exitcode.Account, want: "belongs to us-west-2 (deploy/stages/test.yaml), the AWS settings to eu-central-1:"},
		{
			name: "another table to delete", settings: release.Settings{DeleteTables: []string{"UserData"}, Confirm: "test"},
			code: exitcode.Settings, want: "is not a table that stage test created: want tables of UserData-test",
		},
		{
			name: "not confirmed",
			code: exitcode.Refused,
			want: "confirm with the stage's name, as CONFIRM=test STAGE=test go tool mage destroy",
		},
		{
			name:     "confirmed for another",
			settings: release.Settings{Confirm: "prod"},
			code:     exitcode.Refused,
			want:     "want the stage's name test, got prod",
		},
		{
			name: "not confirmed by the user",
			settings: release.Settings{
				Settings: stage.Settings{Ask: func(context.Context, string) (string, error) { return "no", nil }},
			},
			code: exitcode.Refused,
			want: "want the stage's name test, got no",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			account := tt.account
			if account == nil {
				account = identity
			}
			server := httptest.NewServer(account)
			defer server.Close()
			for name, value := range map[string]string{
				"AWS_ENDPOINT_URL": server.URL, "AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "", "AWS_PROFILE": "",
				"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "", "AWS_EC2_METADATA_DISABLED": "true",
				"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
			} {
				if given, ok := tt.variables[name]; ok {
					value = given
				}
				t.Setenv(name, value)
			}
			settings := tt.settings
			settings.Root = workspace(t, tt.stage)
			if settings.Stage == "" {
				settings.Stage = "test"
			}
			var out bytes.Buffer
			settings.Printer = progress.New(&out, progress.Options{})
			// Destroy has the most checks of all targets.
			err := release.Destroy(t.Context(), settings)
			if code(err) != tt.code || !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Errorf("error = %v with code %d, want %q with code %d", err, code(err), tt.want, tt.code)
			}
		})
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the server notices a closed connection only after that
		cancel(program.ErrStopped)
		<-r.Context().Done()
	}))
	defer server.Close()
	t.Setenv("AWS_ENDPOINT_URL", server.URL)
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_PROFILE", "")
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	err := release.Deploy(ctx, release.Settings{Settings: stage.Settings{
		Root: workspace(t, ""), Stage: "test", Printer: progress.New(io.Discard, progress.Options{}),
	}})
	if code(err) != exitcode.Interrupted {
		t.Errorf("error = %v with code %d, want %d", err, code(err), exitcode.Interrupted)
	}
}

// A lasting AWS failure is reported while the target waits, for at most a minute.
func TestLastingFault(t *testing.T) { //nolint:paralleltest // sets the endpoint of AWS in the environment
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close") // no connection remains in the bubble
		if r.FormValue("Action") == "GetCallerIdentity" {
			identity(w, r)
			return
		}
		refusal(http.StatusServiceUnavailable, "InternalFailure")(w, r)
	}))
	defer server.Close()
	for name, value := range changesettest.Environment() {
		t.Setenv(name, value)
	}
	root := workspace(t, "")
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		started := time.Now()
		err := release.Status(t.Context(), release.Settings{Settings: stage.Settings{
			Root: root, Stage: "test", Endpoint: server.URL, Printer: progress.New(&out, progress.Options{}),
		}})
		if took := time.Since(started); code(err) != exitcode.Failed || took > time.Minute {
			t.Errorf("error = %v with code %d after %s, want code %d within a minute", err, code(err), took, exitcode.Failed)
		}
		if want := "    AWS has a fault (InternalFailure: no): retrying in 10s\n"; !strings.Contains(out.String(), want) {
			t.Errorf("output:\n%s\nwant it to contain %q", &out, want)
		}
	})
}

// The template needs no account and contains the object keys of the packages.
func TestTemplate(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("compiles functions")
	}
	root := functions(t)
	setContract(t, root)
	var out bytes.Buffer
	err := release.Template(t.Context(), release.Settings{Settings: stage.Settings{
		Root: root, Stage: "test", Printer: progress.New(io.Discard, progress.Options{}),
	}}, &out)
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Resources map[string]struct {
			Type       string
			Properties struct{ Code struct{ S3Key string } }
		}
	}
	if err := json.Unmarshal(out.Bytes(), &document); err != nil {
		t.Fatal(err)
	}
	functions := 0
	for id, resource := range document.Resources {
		if resource.Type != "AWS::Lambda::Function" {
			continue
		}
		functions++
		if key := resource.Properties.Code.S3Key; !strings.HasPrefix(key, "functions/") || !strings.HasSuffix(key, ".zip") {
			t.Errorf("%s: key of the package = %q, want functions/….zip", id, key)
		}
	}
	if functions != 4 {
		t.Errorf("%d functions, want 4", functions)
	}
}
