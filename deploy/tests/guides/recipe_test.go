package guides_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
)

const (
	recipePage = "docs/change.md"
	module     = "github.com/userrequestapi/userdata" // of this repository
)

// recipe is a section of the page about changes, with a patch in testdata that makes the change.
type recipe struct {
	section   string
	patch     string
	exchanges [][2]string // requests to the changed stack, and its responses
}

func recipes() map[string]recipe {
	const users = address + "/prod/users"
	post := func(phone string) string {
		return `curl -s -X POST ` + users + ` -H 'Content-Type: application/json' -d '{"userId": "5", "phone": "` + phone + `"}'`
	}
	return map[string]recipe{
		"attribute": {"Add an attribute", "add-attribute.patch", [][2]string{
			{post("020 7946 0000"), `{…"errors":[{"pointer":"#/phone","code":"InvalidPhone",…}]}`},
			{post("+442079460000"), `{"createdAt":"…","phone":"+442079460000","updatedAt":"…","userId":"5"}`},
		}},
		"table": {"Add a table", "add-table.patch", nil},
		"query": {"Query by an attribute", "query-by-email.patch", [][2]string{
			{"curl -s '" + users + "?email=ada@example.org'", `{"items":[{…"email":"ada@example.org",…"userId":"1"}]}`},
			{"curl -s '" + users + "?email=nobody@example.org'", `{"items":[]}`},
		}},
	}
}

// path returns the absolute path of the patch.
func (r recipe) path(t *testing.T) string {
	t.Helper()
	return filepath.Join(testenv.Root(t), "deploy", "tests", "guides", "testdata", r.patch)
}

// skipUnlessApplies skips the test if the patch does not apply to a checkout, whose source has been developed further. In
// the continuous integration of this repository, whose recipe must work, the test fails.
func (r recipe) skipUnlessApplies(t *testing.T, checkout string) {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "git", "-C", checkout, "apply", "--check", r.path(t)).CombinedOutput()
	if err == nil {
		return
	}
	root, err := os.ReadFile(filepath.Join(checkout, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	message := fmt.Sprintf("%s does not apply: make the change of the section %q of %s, and write git diff to the patch\n%s",
		r.patch, r.section, recipePage, output)
	if os.Getenv("CI") != "" && modfile.ModulePath(root) == module {
		t.Fatal(message)
	}
	t.Skip(message)
}

// TestRecipes makes the change of each recipe in a clone, runs the recipe's commands there, and tries the changed
// stack.
func TestRecipes(t *testing.T) {
	t.Parallel()
	testenv.SkipUnlessAll(t)
	stacktest.Endpoint(t)
	published := publish(t)
	for name, r := range recipes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &follower{page: recipePage, dir: filepath.Join(t.TempDir(), "userdata")}
			git(t, ".", "clone", "--quiet", published, f.dir)
			r.skipUnlessApplies(t, f.dir)
			git(t, f.dir, "apply", r.path(t))
			blocks := slices.DeleteFunc(guide(t, recipePage).blocks, func(b block) bool { return b.section != r.section })
			blocks = append(blocks,
				block{language: "sh", text: "go tool mage run\n"},
				block{language: "text", text: "UserRequestAPI is at " + address + "/prod"},
			)
			for _, e := range r.exchanges {
				blocks = append(blocks, block{language: "sh", text: e[0]}, block{language: "json", text: e[1]})
			}
			f.follow(t, blocks)
		})
	}
}

var patched = regexp.MustCompile(`(?m)^\+{3} b/(.+)$`)

// TestRecipeSteps checks that the steps of each recipe name exactly the places that its patch changes, and that the
// patch fits the current files.
func TestRecipeSteps(t *testing.T) {
	t.Parallel()
	for name, r := range recipes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r.skipUnlessApplies(t, testenv.Root(t))
			patch, err := os.ReadFile(r.path(t))
			if err != nil {
				t.Fatal(err)
			}
			places := guide(t, recipePage).steps[r.section]
			changed := map[string]bool{}
			for _, file := range patched.FindAllStringSubmatch(string(patch), -1) {
				i := slices.IndexFunc(places, func(place string) bool {
					return file[1] == place || strings.HasPrefix(file[1], place+"/")
				})
				if i < 0 {
					t.Errorf("the patch changes %s, want a step that names it", file[1])
					continue
				}
				changed[places[i]] = true
			}
			for _, place := range places {
				if !changed[place] {
					t.Errorf("a step names %s, want a change of it in the patch", place)
				}
			}
		})
	}
}
