package guides_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/local"
)

// TestCalls pastes the lines that call the API into a terminal while a stack runs.
func TestCalls(t *testing.T) {
	t.Parallel()
	run := guide(t, "docs/run.md")
	for name, test := range map[string]struct {
		authorization string
		blocks        []block
	}{
		"README.md":           {"NONE", calls(guide(t, "README.md").spans...)},
		"docs/call.md":        {"NONE", shellBlocks(guide(t, "docs/call.md"))},
		"docs/run.md":         {"NONE", calling(run, "curl -si ")},
		"docs/run.md AWS_IAM": {"AWS_IAM", calling(run, "curl --config ")},
		"docs/run.md API_KEY": {"API_KEY", calling(run, "curl -H 'x-api-key: ")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if len(test.blocks) == 0 {
				t.Fatal("got no lines to paste, want some")
			}
			dir := t.TempDir()
			s := stacktest.Start(t, stacktest.Parameters(map[string]string{"Authorization": test.authorization}),
				func(cfg *local.Config) { cfg.DataDir = filepath.Join(dir, ".local") })
			s.PutItem(t, stacktest.Item{
				"userId": &types.AttributeValueMemberS{Value: "1"}, "name": &types.AttributeValueMemberS{Value: "Ada Lovelace"},
			})
			f := &follower{
				page: strings.Fields(name)[0], dir: dir,
				stage: s.Stage(), stack: strings.TrimSuffix(s.URL, "/"+s.Stage()),
			}
			f.follow(t, test.blocks)
		})
	}
}

// programs returns the sections of docs/call.md that package clients_test follows.
func programs() []string { return []string{"Go", "TypeScript", "Python"} }

// shellBlocks returns the blocks of a page without those of the sections in [programs].
func shellBlocks(p page) []block {
	return slices.DeleteFunc(slices.Clone(p.blocks), func(b block) bool { return slices.Contains(programs(), b.section) })
}

// calling returns the blocks of a page that begin with a command, changed to fail on an unexpected error response.
func calling(p page, command string) []block {
	var found []block
	for _, b := range p.blocks {
		if strings.HasPrefix(b.text, command) {
			b.text = strings.Replace(b.text, "curl -H", "curl --fail -H", 1)
			b.text = strings.Replace(b.text, "curl --config", "curl --fail --config", 1)
			found = append(found, b)
		}
	}
	return found
}

// TestCodes checks that the page about calling the API has exactly the error codes of the contract.
func TestCodes(t *testing.T) {
	t.Parallel()
	want := codesOf(read(t, contract.File, []byte(apiDocument(t).Info.Description)))
	if diff := gocmp.Diff(want, codesOf(guide(t, "docs/call.md"))); diff != "" || len(want) == 0 {
		t.Errorf("codes (-contract +page), want the table Errors of docs/call.md to have those of %s:\n%s", contract.File, diff)
	}
}

// apiDocument returns the API document of this repository.
func apiDocument(t *testing.T) *contract.Document {
	t.Helper()
	document, err := contract.Read(os.DirFS(filepath.Join(testenv.Root(t), "deploy")))
	if err != nil {
		t.Fatal(err)
	}
	return document
}

// codesOf returns the codes in the table of errors, sorted and without duplicates.
func codesOf(p page) []string {
	var found []string
	for _, r := range p.rows {
		if r.section == "Errors" && len(r.cells) > 1 {
			found = append(found, r.cells[1]...)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// calls returns the commands among inline code as blocks, changed to fail on an unexpected error response.
func calls(spans ...string) []block {
	var blocks []block
	for _, span := range spans {
		if strings.HasPrefix(span, "curl ") {
			blocks = append(blocks, block{language: "sh", text: strings.Replace(span, "curl ", "curl --fail ", 1)})
		}
	}
	return blocks
}
