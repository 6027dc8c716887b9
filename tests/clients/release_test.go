package clients_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
)

// TestTagModules checks which requests to GitHub the release workflow sends to tag the modules that others require: the
// Go client, and the tools in their repository.
func TestTagModules(t *testing.T) {
	t.Parallel()
	folders := []string{"shared/client"}
	if _, err := os.Stat(filepath.Join(testenv.Root(t), "deploy", "go.mod")); err == nil {
		folders = append(folders, "deploy")
	}
	const (
		look   = "api repos/o/r/git/matching-refs/tags/%[2]s/%[1]s --jq .[] | select(.ref == \"refs/tags/%[2]s/%[1]s\") | .object.sha\n"
		create = "api repos/o/r/git/refs --silent -f ref=refs/tags/%[2]s/%[1]s -f sha=c1\n"
	)
	for name, tt := range map[string]struct {
		version string
		stub    string // what gh prints or does after it has recorded the request
		calls   string
		failure string
	}{
		"new":           {"v0.1.0", ":", look + create, ""},
		"pre-release":   {"v0.2.0-rc.1", ":", look + create, ""},
		"again":         {"v0.1.0", "echo c1", look, ""},
		"other commit":  {"v0.1.0", "echo c2", look, "tags/shared/client/v0.1.0 is at c2, want c1"},
		"no permission": {"v0.1.0", "echo forbidden >&2; exit 1", look, "forbidden"},
		"no version":    {"latest", ":", "", "want a version, such as v0.1.0"},
		"major version": {"v2.0.0", ":", "", "must end with /v2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			calls := write(t, nil, dir, "calls")
			stub := "#!/bin/sh\necho \"$@\" >>'" + calls + "'\n" + tt.stub + "\n"
			// A child writes it: if a concurrent fork inherited the open file, running it would fail with ETXTBSY.
			run(t, dir, nil, "sh", "-c", `printf %s "$0" >gh && chmod +x gh`, stub)
			cmd := exec.CommandContext(t.Context(), filepath.Join(testenv.Root(t), ".ci", "tag-modules"), tt.version, "c1")
			path := dir + string(filepath.ListSeparator) + os.Getenv("PATH")
			cmd.Env = append(os.Environ(), "GITHUB_REPOSITORY=o/r", "PATH="+path)
			out, err := cmd.CombinedOutput()
			if (err != nil) != (tt.failure != "") || !strings.Contains(string(out), tt.failure) {
				t.Errorf("got error %v, %s, want %q", err, out, tt.failure)
			}
			var want strings.Builder
			for _, folder := range folders {
				if tt.calls != "" {
					fmt.Fprintf(&want, tt.calls, tt.version, folder)
				}
				if tt.failure != "" {
					break
				}
			}
			if d := gocmp.Diff(want.String(), string(read(t, calls))); d != "" {
				t.Errorf("requests (-want +got):\n%s", d)
			}
		})
	}
}
