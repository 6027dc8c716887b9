package program_test

import (
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/host/program"
)

func TestCheckArguments(t *testing.T) {
	t.Parallel()
	targets := map[string][]string{
		"debug": {"function"}, "deploy": nil, "deployFunction": {"name"}, "run": nil, "test": nil, "test:all": nil,
		"test:default": nil, "new:function": {"name", "method", "path"},
	}
	for _, tt := range []struct{ args, want string }{
		{"run", ""},
		{"RUN", ""},
		{"test", ""},
		{"test:all", ""},
		{"debug get", ""},
		{"deployFunction", "want go tool mage deployFunction NAME, got 0 arguments"},
		{"new:function orders GET", "want go tool mage new:function NAME METHOD PATH, got 2 arguments"},
		{"run extra", "want one target at a time, got run extra: run go tool mage run"},
		{"deployFunction get put", "want one target at a time, got deployFunction get put: run go tool mage deployFunction get"},
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
			if err := program.CheckArguments(strings.Fields(tt.args), targets); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}
