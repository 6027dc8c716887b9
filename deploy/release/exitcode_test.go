package release_test

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/aws/changeset/changesettest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/host/program"
	"github.com/userrequestapi/userdata/deploy/observe"
	"github.com/userrequestapi/userdata/deploy/release"
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
)

// commands returns the targets of mage that work on a stage, by name.
func commands() map[string]target {
	return map[string]target{
		"deploy": release.Deploy, "plan": release.Plan, "deployFunction": function("get"), "rollback": release.Rollback,
		"status": release.Status, "smoke": release.Smoke, "docs": release.Docs, "destroy": release.Destroy,
		"template": func(ctx context.Context, s release.Settings) error { return release.Template(ctx, s, io.Discard) },
		"traces": func(ctx context.Context, s release.Settings) error {
			return observe.Traces(ctx, observe.Settings{Settings: s.Settings, Out: io.Discard})
		},
		"logs": func(ctx context.Context, s release.Settings) error {
			return observe.Logs(ctx, observe.Settings{Settings: s.Settings, Out: io.Discard})
		},
	}
}

// situation is a condition under which commands exit with a code.
type situation struct {
	name  string
	code  int
	only  string // the commands, separated by spaces; "" for all
	but   string // the commands that it does not affect
	fresh bool   // nothing is deployed; otherwise there are two releases
	// set creates the situation before each command; may be nil.
	set     func(t *testing.T, a *account)
	do      map[string]target // commands with other arguments
	changes []func(*release.Settings)
	stopped bool // whether the command is interrupted
}

// affected returns the commands that the situation affects.
func (s situation) affected() []string {
	names := slices.Sorted(maps.Keys(commands()))
	if s.only != "" {
		names = strings.Fields(s.only)
	}
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(strings.Fields(s.but), name) })
}

func stageFile(content string) func(*testing.T, *account) {
	return func(t *testing.T, a *account) {
		t.Helper()
		testenv.WriteFile(t, filepath.Join(a.root, "deploy", "stages", "test.yaml"), content)
	}
}

// fails makes the next update or deletion fail in CloudFormation.
func fails(reason string) func(*testing.T, *account) {
	return func(t *testing.T, a *account) {
		t.Helper()
		setCode(t, a.root, "get", strconv.Itoa(len(a.called()))) // so that there is a change
		a.Forget()
		a.Fail(changesettest.Update, "GetFunction", reason)
		a.Fail(changesettest.Delete, "GetLogGroup", reason)
	}
}

// outOfReach returns an address at which nothing listens.
func outOfReach(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return "http://" + listener.Addr().String()
}

func situations(t *testing.T) []situation {
	t.Helper()
	broken := httptest.NewServer(
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }),
	)
	t.Cleanup(broken.Close)
	broken.Config.SetKeepAlivesEnabled(false)
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	away := outOfReach(t)
	const denied = `Resource handler returned message: "User: arn:aws:iam::1:user/x is not authorized to perform: iam:CreateRole on resource: y" ` +
		`(RequestToken: 0c1d, HandlerErrorCode: AccessDenied)`
	return []situation{
		{name: "done", code: 0, but: "smoke destroy"},
		{name: "destroyed", code: 0, only: "destroy", changes: []func(*release.Settings){confirm}},
		{name: "nothing to do", code: 0, only: "destroy", fresh: true, changes: []func(*release.Settings){confirm}},
		{name: "no document to export", code: 0, only: "docs plan template", fresh: true},

		{
			name: "the build fails", code: exitcode.Failed, only: "deploy plan deployFunction template",
			set: func(t *testing.T, a *account) {
				testenv.WriteFile(t, a.root+"/functions/get/main.go", "package main\n\nfunc main() { broken }\n")
			},
		},
		{
			name:    "CloudFormation fails",
			code:    exitcode.Failed,
			only:    "deploy deployFunction rollback destroy",
			set:     fails("the disk is full"),
			changes: []func(*release.Settings){confirm},
		},
		{
			name: "AWS is unreachable", code: exitcode.Failed, fresh: true, but: "template",
			changes: []func(*release.Settings){confirm, func(s *release.Settings) { s.Endpoint = away }},
		},
		{
			name: "the stage fails the smoke test", code: exitcode.Failed, only: "deploy smoke",
			changes: []func(*release.Settings){func(s *release.Settings) { s.Smoke, s.InvokeURL = true, broken.URL }},
		},
		{
			name:    "a function was deleted",
			code:    exitcode.Failed,
			only:    "deploy deployFunction",
			changes: []func(*release.Settings){drift},
			set:     func(_ *testing.T, a *account) { a.Drift(stackName, "PutFunction") },
		},

		{
			name:  "an invalid value",
			code:  exitcode.Settings,
			fresh: true,
			set:   stageFile("parameters: {LogLevel: LOUD}"),
		},
		{name: "an unknown key", code: exitcode.Settings, fresh: true, set: stageFile("parameter: {LogLevel: INFO}")},
		{
			name: "an unknown stage", code: exitcode.Settings, fresh: true,
			changes: []func(*release.Settings){func(s *release.Settings) { s.Stage = "tset" }},
		},
		{
			name:  "nothing is deployed",
			code:  exitcode.Settings,
			only:  "deployFunction rollback status smoke traces logs",
			fresh: true,
		},
		{
			name:  "the first deployment has failed",
			code:  exitcode.Settings,
			only:  "deployFunction rollback smoke traces logs",
			fresh: true,
			set: func(t *testing.T, a *account) {
				if a.Status(stackName) == "" {
					a.Fail(changesettest.Create, "Api", "no")
					a.fail(t, release.Deploy, exitcode.Failed, []string{"Api"})
				}
			},
		},
		{
			name:    "a foreign stack",
			code:    exitcode.Settings,
			but:     "template",
			fresh:   true,
			changes: []func(*release.Settings){confirm},
			set: func(_ *testing.T, a *account) {
				if a.Status(stackName) == "" {
					a.Put(stackName, "ROLLBACK_COMPLETE", []byte(`{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}`))
				}
			},
		},
		{
			name: "a first release", code: exitcode.Settings, only: "rollback",
			set: func(t *testing.T, a *account) { a.succeed(t, release.Rollback) },
		},
		{
			// The failed rollback is not continued if there is no previous release.
			name: "a first release with a rollback that failed", code: exitcode.Settings, only: "rollback",
			set: func(t *testing.T, a *account) {
				a.succeed(t, release.Rollback)
				setCode(t, a.root, "put", "second")
				a.Fail(changesettest.Update, "PutFunction", "the disk is full")
				a.Fail(changesettest.Rollback, "PutFunction", "the key is disabled")
				a.fail(t, release.Deploy, exitcode.Failed, []string{"UPDATE_ROLLBACK_FAILED"})
			},
		},
		{
			name: "an invalid argument",
			code: exitcode.Settings,
			only: "deployFunction logs",
			do: map[string]target{
				"deployFunction": function("gte"),
				"logs": func(ctx context.Context, s release.Settings) error {
					return observe.Logs(ctx, observe.Settings{Settings: s.Settings, Out: io.Discard, Functions: []string{"gte"}})
				},
			},
		},
		{
			name: "another table", code: exitcode.Settings, only: "destroy",
			changes: []func(*release.Settings){confirm, func(s *release.Settings) { s.DeleteTables = []string{"UserData"} }},
		},
		{
			name: "a port in use", code: exitcode.Settings, only: "docs",
			changes: []func(*release.Settings){func(s *release.Settings) {
				s.Serve, s.Port = true, taken.Addr().(*net.TCPAddr).Port
			}},
		},
		{
			name: "no token", code: exitcode.Settings, only: "smoke", fresh: true,
			set: func(t *testing.T, a *account) {
				stageFile("parameters: {Authorization: COGNITO_USER_POOLS, "+
					"UserPoolArn: 'arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_a'}")(t, a)
				a.succeed(t, release.Deploy)
			},
		},

		{
			name: "expired credentials", code: exitcode.Account, fresh: true, but: "template",
			set: func(_ *testing.T, a *account) {
				a.set(func(a *account) {
					a.faults["sts GetCallerIdentity"] = fault{
						http.StatusForbidden,
						"ExpiredToken",
						"The security token included in the request is expired",
					}
				})
			},
		},
		{
			name:  "another account",
			code:  exitcode.Account,
			fresh: true,
			but:   "template",
			set:   stageFile(`account: "999999999999"`),
		},
		{
			name:  "another Region",
			code:  exitcode.Account,
			fresh: true,
			but:   "template",
			set:   stageFile("region: us-west-2"),
		},
		{
			name:    "a permission is missing",
			code:    exitcode.Account,
			fresh:   true,
			but:     "template",
			changes: []func(*release.Settings){confirm},
			set: func(_ *testing.T, a *account) {
				a.Fault("DescribeStacks", changesettest.AccessDenied("cloudformation:DescribeStacks"))
			},
		},
		{
			name: "a permission is missing to plan", code: exitcode.Account, only: "deploy plan deployFunction",
			set: func(t *testing.T, a *account) {
				setCode(t, a.root, "get", strconv.Itoa(len(a.called())))
				a.Fault("CreateChangeSet", changesettest.AccessDenied("cloudformation:CreateChangeSet"))
			},
		},
		{
			name:    "a permission is missing in the stack",
			code:    exitcode.Account,
			only:    "deploy deployFunction rollback destroy",
			set:     fails(denied),
			changes: []func(*release.Settings){confirm},
		},

		{
			name: "the table would be removed", code: exitcode.Refused, only: "deploy",
			set: func(t *testing.T, a *account) { setStage(t, a.root, "ExistingTableName: Others") },
		},
		{name: "not confirmed", code: exitcode.Refused, fresh: true, only: "destroy"},

		{
			name:    "interrupted",
			code:    exitcode.Interrupted,
			fresh:   true,
			stopped: true,
			changes: []func(*release.Settings){confirm},
		},
	}
}

// The exit codes of commands are part of their interface and have the same meaning for all of them. [account.run] also
// checks that a command that exits with [exitcode.Settings] has not changed anything.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	all := situations(t)
	for _, s := range all {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			if !s.fresh {
				a.succeed(t, release.Deploy)
				setCode(t, a.root, "get", "second")
				a.succeed(t, release.Deploy)
			}
			for _, name := range s.affected() {
				ctx, cancel := context.WithCancelCause(t.Context())
				if s.set != nil {
					s.set(t, a)
				}
				if s.stopped {
					cancel(program.ErrStopped)
				}
				do := commands()[name]
				if other := s.do[name]; other != nil {
					do = other
				}
				if out, err := a.run(ctx, do, s.changes...); code(err) != s.code {
					t.Errorf("%s: error = %v with code %d, want code %d\n%s", name, err, code(err), s.code, out)
				}
				cancel(nil)
			}
		})
	}
	t.Run("documented", func(t *testing.T) {
		t.Parallel()
		guide, err := os.ReadFile(filepath.Join("..", "..", "docs", "deploy.md"))
		if err != nil {
			t.Fatal(err)
		}
		var codes []int
		for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \| `).FindAllStringSubmatch(string(guide), -1) {
			n, err := strconv.Atoi(row[1])
			if err != nil {
				t.Fatal(err)
			}
			if n <= 255 { // others are status codes of responses
				codes = append(codes, n)
			}
		}
		tried := map[string][]int{}
		for _, s := range all {
			for _, name := range s.affected() {
				tried[name] = append(tried[name], s.code)
				tried["any"] = append(tried["any"], s.code)
			}
		}
		slices.Sort(tried["any"])
		if diff := cmp.Diff(codes, slices.Compact(tried["any"])); diff != "" {
			t.Errorf("codes of docs/deploy.md and of the situations (-docs +situations):\n%s", diff)
		}
		for _, row := range regexp.MustCompile("(?m)^\\| `go tool mage (\\w+)").FindAllStringSubmatch(string(guide), -1) {
			for _, want := range []int{exitcode.Settings, exitcode.Interrupted} {
				if name := row[1]; !slices.Contains(tried[name], want) {
					t.Errorf("%s: no situation with code %d", name, want)
				}
			}
		}
	})
}
