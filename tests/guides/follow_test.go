package guides_test

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/tests/stacktest"
)

const (
	repository = "https://github.com/userrequestapi/userdata"
	address    = "http://127.0.0.1:3000" // of the stack, in the pages
	ready      = "Ctrl-C stops it."      // what the stack shows at last when it starts
	stopping   = "Stop the stack"        // the section before which Ctrl-C is pressed
)

// outputs are the languages of blocks that show what the commands before them print.
func isOutput(b block) bool { return b.language == "json" || b.language == "text" }

// TestGettingStarted is a newcomer's run: the page pasted line by line, beginning with a clone into an empty folder.
func TestGettingStarted(t *testing.T) {
	t.Parallel()
	testenv.SkipUnlessAll(t)
	stacktest.Endpoint(t) // skips where DynamoDB Local cannot run
	published := publish(t)
	f := &follower{dir: t.TempDir(), variables: []string{
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=url." + published + ".insteadOf", "GIT_CONFIG_VALUE_0=" + repository,
	}}
	page := guide(t, "docs/getting-started.md")
	f.links = page.links
	f.follow(t, page.blocks)
}

// TestRecipes does what the page about changing things says, each recipe in a clone of its own.
func TestRecipes(t *testing.T) {
	t.Parallel()
	testenv.SkipUnlessAll(t)
	stacktest.Endpoint(t)
	published := publish(t)
	for _, recipe := range recipes() {
		t.Run(recipe, func(t *testing.T) {
			t.Parallel()
			f := &follower{dir: filepath.Join(t.TempDir(), "userdata")}
			git(t, ".", "clone", "--quiet", published, f.dir)
			f.follow(t, section(t, guide(t, recipePage), recipe))
		})
	}
}

const recipePage = "docs/change.md"

// recipes are sections of that page.
func recipes() []string { return []string{"Add an attribute", "Add a route with its own function"} }

// section returns the blocks below a heading.
func section(t *testing.T, p page, heading string) []block {
	t.Helper()
	var blocks []block
	for _, b := range p.blocks {
		if b.section == heading {
			blocks = append(blocks, b)
		}
	}
	if len(blocks) == 0 {
		t.Fatalf("%s has no section %q with blocks", p.name, heading)
	}
	return blocks
}

// publish makes a repository of the files of this checkout as they are. A developer's includes those that are not yet known to git; in
// continuous integration such a file is missing in the commit, and missing here.
func publish(t *testing.T) (dir string) {
	t.Helper()
	from, dir := root(t), t.TempDir()
	list := []string{"ls-files", "-z", "--cached"}
	if os.Getenv("CI") == "" {
		list = append(list, "--others", "--exclude-standard")
	}
	for name := range strings.SplitSeq(git(t, from, list...), "\x00") {
		info, err := os.Lstat(filepath.Join(from, name))
		if name == "" || err != nil || !info.Mode().IsRegular() { // deleted, not yet committed
			continue
		}
		content, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, fs.ErrNotExist) { // an editor's, or another test's
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, content, info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
	git(t, dir, "init", "--quiet")
	git(t, dir, "add", "--all", "--force")
	git(t, dir, "-c", "user.name=Ada Lovelace", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null",
		"commit", "--quiet", "--no-verify", "--message=All")
	return dir
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	var failure bytes.Buffer
	cmd.Dir, cmd.Stderr = dir, &failure
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", args[0], err, failure.Bytes())
	}
	return string(out)
}

// follower does what the blocks of a page say.
type follower struct {
	dir       string   // where the first terminal is opened
	variables []string // of the terminals
	links     []string // those to the stack must lead somewhere while it runs

	first, second *terminal // the second, while the stack runs in the first
	stack         string    // the address of the stack that runs
	stage         string    // of that; "" for prod
	running       pasted    // what runs it
}

func (f *follower) follow(t *testing.T, blocks []block) {
	t.Helper()
	f.first = open(t, f.dir, f.variables...)
	for i := 0; i < len(blocks); i++ {
		b := blocks[i]
		if b.section == stopping {
			f.stop(t)
		}
		if isOutput(b) {
			t.Errorf("line %d: this block shows an output, and no command is before it", b.line)
			continue
		}
		if b.language != "sh" {
			t.Errorf("line %d: a block of %q is nothing to paste", b.line, b.language)
			continue
		}
		want := elision
		if i+1 < len(blocks) && isOutput(blocks[i+1]) {
			want, i = blocks[i+1].text, i+1
		}
		f.do(t, b, want)
	}
	f.stop(t)
}

var stackURL = regexp.MustCompile(`UserRequestAPI is at (http://127\.0\.0\.1:\d+)/`)

// do pastes a block and compares what it prints.
func (f *follower) do(t *testing.T, b block, want string) {
	t.Helper()
	if starts := regexp.MustCompile(`(?m)^go tool mage run$`); starts.MatchString(b.text) {
		f.running = f.first.begin(t, b.text)
		f.running.until(t, func() bool { return strings.Contains(f.running.printed(), ready) })
		printed := f.running.printed()
		found := stackURL.FindStringSubmatch(printed)
		if found == nil {
			t.Fatalf("line %d: the stack does not say where it is:\n%s", b.line, printed)
		}
		f.stack = found[1]
		if want := elision + f.here(strings.TrimSpace(want)) + elision; !shows(want, printed) {
			t.Errorf("line %d prints\n%s\nand the page shows\n%s", b.line, printed, want)
		}
		dir := f.dir
		if cloned := filepath.Join(dir, "userdata"); exists(cloned) {
			dir = cloned
		}
		f.second = open(t, dir, f.variables...)
		return
	}
	terminal := f.first
	if f.second != nil {
		terminal = f.second
	}
	lines, want := f.here(b.text), f.here(want)
	printed := terminal.paste(t, lines)
	// The stack's own pages know of a request a moment after it was answered.
	if strings.Contains(lines, "/_local/") {
		ctx, cancel := testenv.WithDeadline(t.Context(), t)
		defer cancel()
		for !shows(want, printed) && ctx.Err() == nil {
			printed = terminal.paste(t, lines)
		}
	}
	if !shows(want, printed) {
		t.Errorf("line %d:\n%s\nprints\n%s\nand the page shows\n%s", b.line, b.text, printed, want)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

var prod = regexp.MustCompile(`/prod\b`)

// here puts the address of the stack in, which has another port than in the pages, and its stage.
func (f *follower) here(text string) string {
	if f.stack == "" {
		return text
	}
	return prod.ReplaceAllString(strings.ReplaceAll(text, address, f.stack), "/"+cmp.Or(f.stage, "prod"))
}

// stop presses Ctrl-C where the stack runs, after a look at the pages that the page leads to.
func (f *follower) stop(t *testing.T) {
	t.Helper()
	if f.second == nil {
		return
	}
	for _, link := range f.links {
		if strings.HasPrefix(link, address) {
			f.visit(t, f.here(link))
		}
	}
	f.first.interrupt(t)
	f.running.wait(t)
	f.second, f.stack = nil, ""
}

// visit opens an address as a browser does.
func (f *follower) visit(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := testenv.WithDeadline(t.Context(), t)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "text/html") // as browsers do
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("%s answers %s", url, response.Status)
	}
}

func TestShows(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		shown, printed string
		want           bool
	}{
		{"a\n", "a\r\n", true},
		{"a", "ab", false},
		{"b", "ab", false},
		{"a…c", "a\nb\nc\n", true},
		{"…b…", "abc", true},
		{`{"a":"…"}`, `{"a":"1","b":2}`, false},
		{"a.c", "abc", false},
		{elision, "", true},
	} {
		if got := shows(test.shown, test.printed); got != test.want {
			t.Errorf("%q for %q: got %t, want %t", test.shown, test.printed, got, test.want)
		}
	}
}
