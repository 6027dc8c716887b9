package release_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/aws/changeset/changesettest"
	"github.com/userrequestapi/userdata/deploy/release"
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
)

// roleParameter fails the test unless the stack has this value of ApiGatewayLogsRole.
func (a *account) roleParameter(t *testing.T, want string) {
	t.Helper()
	if got := a.deployed(t).parameters["ApiGatewayLogsRole"]; got != want {
		t.Errorf("ApiGatewayLogsRole is %s, want %s", got, want)
	}
}

func TestLogsRole(t *testing.T) {
	t.Parallel()
	t.Run("the account has one", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		a.succeed(t, release.Deploy)
		a.roleParameter(t, "Existing")
	})
	t.Run("the account has none", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		a.logsRole = ""
		a.succeed(t, release.Deploy)
		a.roleParameter(t, "Create")
		a.set(func(a *account) { a.logsRole = logsRole }) // the stack's own
		setCode(t, a.root, "get", "second")
		a.succeed(t, release.Deploy)
		a.roleParameter(t, "Create")
	})
	t.Run("set in the stage's file", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		setStage(t, a.root, "ApiGatewayLogsRole: Create")
		a.succeed(t, release.Deploy)
		a.roleParameter(t, "Create")
	})
	t.Run("only the table was imported", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		a.logsRole, a.tables[tableName] = "", users("ACTIVE")
		a.Fail(changesettest.Create, "Api", "no")
		a.fail(t, release.Deploy, exitcode.Failed, []string{"Api"})
		a.roleParameter(t, "Create")
		a.set(func(a *account) { a.logsRole = logsRole }) // another stage's
		a.succeed(t, release.Deploy)
		a.roleParameter(t, "Existing")
		a.deployed(t).is(t, 1, "", "UPDATE_COMPLETE")
	})
}

// replies returns settings that reply each question of a target with reply, and records the questions.
func replies(reply string, err error, questions *[]string) func(*release.Settings) {
	return func(s *release.Settings) {
		s.Ask = func(_ context.Context, question string) (string, error) {
			*questions = append(*questions, question)
			return reply, err
		}
	}
}

// API Gateway does not report a role that it cannot use, so each command that can report it does.
func TestUnusableLogsRole(t *testing.T) {
	t.Parallel()
	denied := fault{
		http.StatusForbidden,
		"AccessDenied",
		"User: arn:aws:iam::1:user/x is not authorized to perform: iam:GetRole on resource: role logs",
	}
	const remedy = "set ApiGatewayLogsRole: Create in deploy/stages/test.yaml, and run STAGE=test "
	tests := []struct {
		name string
		set  func(*account)
		want string
		// remedy is part of the suggestion; "" means no suggestion.
		remedy string
	}{
		{
			"deleted",
			func(a *account) { a.roles = nil },
			"the account's role for that, " + logsRole + ", does not exist",
			remedy,
		},
		{
			"of another service", func(a *account) { a.roles = map[string]string{"logs": "lambda.amazonaws.com"} },
			"does not let apigateway.amazonaws.com assume it", remedy,
		},
		{
			"not allowed to read it",
			func(a *account) { a.denied = map[string]fault{"iam GetRole": denied} },
			"may not call iam:GetRole",
			"",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			a.set(tt.set)
			for name, do := range map[string]target{"plan": release.Plan, "deploy": release.Deploy} {
				if out := a.succeed(t, do); strings.Count(out, tt.want) != 1 || !strings.Contains(out, tt.remedy) {
					t.Errorf("%s: want %q once, and %q, in:\n%s", name, tt.want, tt.remedy, out)
				}
			}
			a.roleParameter(t, "Existing")
			if tt.remedy != "" {
				contains(t, a.succeed(t, release.Status), tt.want, tt.remedy)
			} else {
				a.fail(t, release.Status, exitcode.Account, []string{tt.want})
			}

			// The problem is also reported if the stage's file says Existing.
			setStage(t, a.root, "ApiGatewayLogsRole: Existing")
			contains(t, a.succeed(t, release.Plan), tt.want)
		})
	}
	t.Run("no problem", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		for _, do := range []target{release.Plan, release.Deploy, release.Status} {
			if out := a.succeed(t, do); strings.Contains(out, "writes no logs") || strings.Contains(out, "Logs ") {
				t.Errorf("output = %s\nwant no problem", out)
			}
		}
	})
	t.Run("asks to create a role", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		a.set(func(a *account) { a.roles = nil })
		var questions []string
		if out := a.succeed(t, release.Plan, replies("yes", nil, &questions)); len(questions) > 0 {
			t.Errorf("questions of a plan = %q, want none\n%s", questions, out)
		}
		a.succeed(t, release.Deploy, replies("", errors.New("no terminal"), &questions))
		a.roleParameter(t, "Existing")
		a.succeed(t, release.Deploy, replies("no", nil, &questions))
		a.roleParameter(t, "Existing")
		a.succeed(t, release.Deploy, replies("yes", nil, &questions))
		a.roleParameter(t, "Create")
		if len(questions) != 3 || !strings.Contains(questions[2], "does not exist") ||
			!strings.Contains(questions[2], "all APIs of the account") {
			t.Errorf("questions %q, want one for each deployment", questions)
		}
		// The stack keeps the role and does not ask again.
		a.set(func(a *account) { a.roles = map[string]string{"logs": "apigateway.amazonaws.com"} })
		a.succeed(t, release.Deploy, replies("yes", nil, &questions))
		a.roleParameter(t, "Create")
		a.set(func(a *account) { a.roles = nil })
		out := a.succeed(t, release.Deploy, replies("yes", nil, &questions))
		contains(t, out, "The stack creates that role: REVERT_DRIFT=1 STAGE=test ")
		contains(t, a.succeed(t, release.Status), "The stack creates that role: REVERT_DRIFT=1 STAGE=test ")
		a.roleParameter(t, "Create")
		if len(questions) != 3 {
			t.Errorf("further questions = %q, want none", questions[3:])
		}
	})
	t.Run("the stage's file takes precedence over the stack's role", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t)
		a.logsRole = ""
		a.succeed(t, release.Deploy)
		a.roleParameter(t, "Create")
		a.set(func(a *account) { a.logsRole, a.roles = logsRole, nil })
		setStage(t, a.root, "ApiGatewayLogsRole: Existing")
		out := a.succeed(t, release.Deploy)
		a.roleParameter(t, "Existing")
		contains(t, out, "does not exist", "set ApiGatewayLogsRole: Create")
		if strings.Contains(out, "The stack creates") {
			t.Errorf("output = %s\nwant no repair: the stack does not create the role any more", out)
		}
	})
}
