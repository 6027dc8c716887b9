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

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
)

const (
	repository = "https://github.com/userrequestapi/userdata"
	address    = "http://127.0.0.1:3000" // of the stack, in the pages
	ready      = "Press Ctrl-C to stop." // the last line that a starting stack prints
	stopping   = "Stop the stack"        // Ctrl-C is pressed before this section
)

// isOutput reports whether a block shows the output of the commands before it.
func isOutput(b block) bool { return b.language == "json" || b.language == "text" }

// TestGettingStarted follows the page as a new user: it pastes every line, starting with a clone into an empty folder.
func TestGettingStarted(t *testing.T) {
	t.Parallel()
	testenv.SkipUnlessAll(t)
	stacktest.Endpoint(t) // skips the test if DynamoDB Local cannot run
	published := publish(t)
	f := &follower{page: "docs/getting-started.md", dir: t.TempDir(), variables: []string{
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=url." + published + ".insteadOf", "GIT_CONFIG_VALUE_0=" + repository,
	}}
	page := guide(t, "docs/getting-started.md")
	f.links = page.links
	f.follow(t, page.blocks)
}

// publish creates a repository with the current files of this checkout, including untracked ones. In CI a file that is
// missing in the commit is missing here too.
func publish(t *testing.T) (dir string) {
	t.Helper()
	from, dir := testenv.Root(t), t.TempDir()
	list := []string{"ls-files", "-z", "--cached"}
	if os.Getenv("CI") == "" {
		list = append(list, "--others", "--exclude-standard")
	}
	for name := range strings.SplitSeq(git(t, from, list...), "\x00") {
		info, err := os.Lstat(filepath.Join(from, name))
		if name == "" || err != nil || !info.Mode().IsRegular() { // deleted, not committed yet
			continue
		}
		content, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, fs.ErrNotExist) { // temporary file of an editor or another test
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
	git(
		t, dir, "-c", "user.name=Ada Lovelace", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false", "-c",
		"core.hooksPath=/dev/null", "commit", "--quiet", "--no-verify", "--message=All",
	)
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

// follower executes the blocks of a page.
type follower struct {
	page      string   // its name
	dir       string   // the working directory of the first terminal
	variables []string // of the terminals
	links     []string // links to the stack, which must work while it runs

	first, second *terminal // second is open while the stack runs in first
	stack         string    // the URL of the running stack
	stage         string    // its stage; "" for prod
	running       pasted    // the command that runs it
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
			t.Errorf("%s:%d: got an output, want a command before it", f.page, b.line)
			continue
		}
		if b.language != "sh" {
			t.Errorf("%s:%d: got a block of %q, want commands in sh", f.page, b.line, b.language)
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

// do pastes a block and compares its output.
func (f *follower) do(t *testing.T, b block, want string) {
	t.Helper()
	if starts := regexp.MustCompile(`(?m)^go tool mage run$`); starts.MatchString(b.text) {
		f.running = f.first.begin(t, b.text)
		f.running.until(t, func() bool { return strings.Contains(f.running.printed(), ready) })
		printed := f.running.printed()
		found := stackURL.FindStringSubmatch(printed)
		if found == nil {
			t.Fatalf("%s:%d: want the URL of the stack, got\n%s", f.page, b.line, printed)
		}
		f.stack = found[1]
		if want := elision + f.substituteStack(strings.TrimSpace(want)) + elision; !shows(want, printed) {
			t.Errorf("%s:%d: got\n%s\nwant what the page shows (correct one of them),\n%s", f.page, b.line, printed, want)
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
	lines, want := f.substituteStack(b.text), f.substituteStack(want)
	printed := terminal.paste(t, lines)
	// The stack's own pages show a request shortly after its response.
	if strings.Contains(lines, "/_local/") {
		ctx, cancel := testenv.WithDeadline(t.Context(), t)
		defer cancel()
		for !shows(want, printed) && ctx.Err() == nil {
			printed = terminal.paste(t, lines)
		}
	}
	if !shows(want, printed) {
		t.Errorf("%s:%d:\n%s\ngot\n%s\nwant what the page shows (correct one of them),\n%s", f.page, b.line, b.text, printed, want)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

var prod = regexp.MustCompile(`/prod\b`)

// substituteStack replaces the URL and the stage in the pages by those of the stack.
func (f *follower) substituteStack(str string) string {
	if f.stack == "" {
		return str
	}
	return prod.ReplaceAllString(strings.ReplaceAll(str, address, f.stack), "/"+cmp.Or(f.stage, "prod"))
}

// stop visits the links of the page to the stack, and presses Ctrl-C.
func (f *follower) stop(t *testing.T) {
	t.Helper()
	if f.second == nil {
		return
	}
	for _, link := range f.links {
		if strings.HasPrefix(link, address) {
			f.visit(t, f.substituteStack(link))
		}
	}
	f.first.interrupt(t)
	f.running.wait(t)
	f.second, f.stack = nil, ""
}

// visit requests a URL as a browser does.
func (f *follower) visit(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := testenv.WithDeadline(t.Context(), t)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "text/html")
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("%s: got status %s, want 200", url, response.Status)
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
		t.Run(test.shown, func(t *testing.T) {
			t.Parallel()
			if got := shows(test.shown, test.printed); got != test.want {
				t.Errorf("%q: got %t, want %t", test.printed, got, test.want)
			}
		})
	}
}
