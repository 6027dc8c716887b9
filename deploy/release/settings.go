// Package release deploys stages of the API to AWS and manages them there. Each function that takes [Settings]
// implements one target of mage.
package release

import (
	"context"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/userrequestapi/userdata/deploy/docs/reference"
	"github.com/userrequestapi/userdata/deploy/release/stage"
)

// Settings configure a target.
type Settings struct {
	stage.Settings

	Smoke bool // whether to run the smoke test after a deployment
	Drift bool // whether to detect drift, which takes a while
	// RevertDrift is whether [Deploy] also reverts drift.
	RevertDrift bool

	// InvokeURL is the URL of the stage, with the placeholders {ApiId} and {StageName}, for emulators that serve APIs at
	// other addresses than AWS. The default is the stack's output InvokeURL.
	InvokeURL string
	// Token is the ID token with which the smoke test authenticates to a user pool.
	Token string

	AtOnce bool // whether new code takes all traffic at once, whatever the stage's DeploymentPreference

	ReplaceTables []string // the names of the tables that may be replaced or removed from the stack
	DeleteTables  []string // the names of the tables that [Destroy] deletes with all their data
	Confirm       string   // the stage's name, for which [Destroy] asks otherwise

	// Port is the port on 127.0.0.1 where [Docs] serves the reference; 0 selects a free one. If Serve is false, Docs only
	// writes the documents.
	Port  int
	Serve bool
	// Browse opens a URL in a browser and returns when ctx ends at the latest. nil opens none.
	Browse func(ctx context.Context, url string) error
}

// FromEnvironment reads the settings of a target from environment variables: those of [stage.FromEnvironment], and
// SMOKE, DRIFT, REVERT_DRIFT, AT_ONCE, INVOKE_URL, TOKEN, REPLACE_TABLE, DELETE_TABLE, CONFIRM, PORT, SERVE and
// BROWSER. A browser is opened only if out is a terminal, and not with BROWSER=none or JSON=1.
func FromEnvironment(root string, out *os.File, getenv func(string) string) (Settings, error) {
	common, variables := stage.FromEnvironment(root, out, getenv)
	s := Settings{
		Settings:      common,
		InvokeURL:     getenv("INVOKE_URL"),
		Token:         getenv("TOKEN"),
		ReplaceTables: split(getenv(replaceTableSetting)),
		DeleteTables:  split(getenv(deleteTableSetting)),
		Confirm:       getenv("CONFIRM"),
		Smoke:         variables.Flag("SMOKE", true),
		Drift:         variables.Flag("DRIFT", true),
		RevertDrift:   variables.Flag("REVERT_DRIFT", false),
		AtOnce:        variables.Flag("AT_ONCE", false),
		Serve:         variables.Flag("SERVE", true),
		Port:          variables.Number("PORT", 0, 0, 65535),
	}
	if term.IsTerminal(int(out.Fd())) && getenv("BROWSER") != "none" && !s.Printer.JSON() {
		s.Browse = reference.OpenURL
	}
	return s, s.Check(variables)
}

// split returns the names in a list that is separated by commas.
func split(names string) []string {
	return strings.FieldsFunc(names, func(r rune) bool { return r == ',' || r == ' ' })
}
