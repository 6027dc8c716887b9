package guides_test

import (
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/tests/stacktest"
)

// TestCalls pastes the lines that call the API, into a terminal beside a stack.
func TestCalls(t *testing.T) {
	t.Parallel()
	run := guide(t, "docs/run.md")
	for name, test := range map[string]struct {
		authorization string
		blocks        []block
	}{
		"README.md":           {"NONE", calls(guide(t, "README.md").spans...)},
		"docs/call.md":        {"NONE", guide(t, "docs/call.md").blocks},
		"docs/run.md":         {"NONE", calling(run, "curl -si ")},
		"docs/run.md AWS_IAM": {"AWS_IAM", calling(run, "curl --aws-sigv4 ")},
		"docs/run.md API_KEY": {"API_KEY", calling(run, "curl -H 'x-api-key: ")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if len(test.blocks) == 0 {
				t.Fatal("there is nothing to paste")
			}
			s := stacktest.Start(t, stacktest.Parameters(map[string]string{"Authorization": test.authorization}))
			s.PutItem(t, stacktest.Item{
				"userId": &types.AttributeValueMemberS{Value: "1"}, "name": &types.AttributeValueMemberS{Value: "Ada Lovelace"},
			})
			f := &follower{dir: t.TempDir(), stage: path.Base(s.URL), stack: strings.TrimSuffix(s.URL, "/"+path.Base(s.URL))}
			f.follow(t, test.blocks)
		})
	}
}

// calling are the blocks of a page that begin with a command, made to fail where the answer is a refusal that is not asked for.
func calling(p page, command string) []block {
	var found []block
	for _, b := range p.blocks {
		if strings.HasPrefix(b.text, command) {
			b.text = strings.Replace(b.text, "curl -H", "curl --fail -H", 1)
			b.text = strings.Replace(b.text, "curl --aws", "curl --fail --aws", 1)
			found = append(found, b)
		}
	}
	return found
}

// TestCodes sees that the page about calling the API has the codes of the contract, and no others.
func TestCodes(t *testing.T) {
	t.Parallel()
	document, err := contract.Read(os.DirFS(filepath.Join(root(t), "deploy")))
	if err != nil {
		t.Fatal(err)
	}
	var described struct{ Info struct{ Description string } }
	if err := json.Unmarshal(document.JSON(), &described); err != nil {
		t.Fatal(err)
	}
	want := codesOf(read(t, contract.File, []byte(described.Info.Description)))
	if diff := gocmp.Diff(want, codesOf(guide(t, "docs/call.md"))); diff != "" || len(want) == 0 {
		t.Errorf("codes (-contract +page):\n%s", diff)
	}
}

// codesOf are the codes of the table of errors, sorted. One that is in two rows, with another status each, is one.
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

// calls are the commands among texts that are written as code, each as a block, made to fail where the answer is a refusal.
func calls(spans ...string) []block {
	var blocks []block
	for _, span := range spans {
		if strings.HasPrefix(span, "curl ") {
			blocks = append(blocks, block{language: "sh", text: strings.Replace(span, "curl ", "curl --fail ", 1)})
		}
	}
	return blocks
}
