package template_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/cfn"
)

// sections returns the sections of a page by the anchor that GitHub gives them.
func sections(t *testing.T, page string) map[string]string {
	t.Helper()
	content, err := os.ReadFile(filepath.Clean(page))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	omitted := regexp.MustCompile(`[^a-z0-9 -]`)
	for part := range strings.SplitSeq("\n"+string(content), "\n## ") {
		heading, text, _ := strings.Cut(part, "\n")
		anchor := omitted.ReplaceAllString(strings.ToLower(heading), "")
		found[strings.ReplaceAll(anchor, " ", "-")] = text
	}
	return found
}

// TestRunbooks checks that the description of each alarm links to its section in the project's repository, and that the
// section answers the questions of somebody whom the alarm has notified.
func TestRunbooks(t *testing.T) {
	t.Parallel()
	found := sections(t, "../../docs/runbooks.md")
	for name, test := range map[string]struct {
		parameters map[string]string
		want       string
	}{
		"of the API document": {nil, apiDocument(t).ExternalDocs.URL},
		"of the stage": {
			map[string]string{"Repository": "https://git.example.com/acme/people"}, "https://git.example.com/acme/people",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := evaluate(t, test.parameters)
			for _, id := range append(e.All(alarmType), e.All(compositeAlarmType)...) {
				description := cfn.Text(e.Property(id, "AlarmDescription"))
				_, link, _ := strings.Cut(description, "Runbook: ")
				anchor, ok := strings.CutPrefix(link, test.want+"/blob/HEAD/docs/runbooks.md#")
				section := found[anchor]
				if !ok || section == "" {
					t.Errorf("%s: description = %q, want a link to a section of docs/runbooks.md in %s", id, description, test.want)
					continue
				}
				for _, part := range []string{"For callers", "Look here", "Likely causes", "What to do", "Over when"} {
					if !strings.Contains(section, "- **"+part+".**") {
						t.Errorf("docs/runbooks.md#%s has no part %q", anchor, part)
					}
				}
			}
		})
	}
}
