package program_test

import (
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/host/program"
)

func TestCheckArguments(t *testing.T) {
	t.Parallel()
	const list = `Users by id.

Targets:
  debug           runs the local stack with one function
  deploy          deploys the stage
  deployFunction  deploys only the code of one function
  run             runs the local stack
  test:all        runs all tests
  test:default    runs the tests for every commit
`
	for _, tt := range []struct{ args, want string }{
		{"run", ""},
		{"RUN", ""},
		{"test", ""},
		{"test:all", ""},
		{"debug get", ""},
		{"run extra", ""}, // the target knows its arguments
		{"deployFunction", ""},
		{"rnu", "unknown target rnu: did you mean go tool mage run?"},
		{"tset", "unknown target tset: did you mean go tool mage test?"},
		{"deploy-function get", "unknown target deploy-function: did you mean go tool mage deployFunction?"},
		{"test all", "unknown target test all: did you mean go tool mage test:all?"},
		{"install", "unknown target install: go tool mage lists the targets"},
		{"help run", "unknown target help: go tool mage lists the targets"},
		{"run --help", "for help, run go tool mage: it lists the targets and what they do"},
		{"run -h", "for help, run go tool mage: it lists the targets and what they do"},
		{"run PORT=3001", "settings come before the command: PORT=3001 go tool mage run"},
		{"STAGE=dev deployFunction get", "settings come before the command: STAGE=dev go tool mage deployFunction get"},
		{"PORT=3001", "settings come before the command: PORT=3001 go tool mage"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			got := ""
			if err := program.CheckArguments(strings.Fields(tt.args), list, "test"); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}
