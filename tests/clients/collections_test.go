package clients_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/shared/user/usertest"
)

func collectionFile(t *testing.T, extension string) []byte {
	t.Helper()
	return read(t, testenv.Root(t), "docs", "api", "UserRequestAPI"+extension)
}

// TestPostman runs the collection and its tests with Postman's own runner.
func TestPostman(t *testing.T) {
	t.Parallel()
	testenv.SkipUnlessAll(t)
	env := packages(t, "collections")
	s, before := startInUse(t)
	w, dir := startRecorder(t, s), t.TempDir()
	file := write(t, collectionFile(t, ".postman_collection.json"), dir, "collection.json")
	run(t, dir, nil, env.Program("newman"), "run", file, "--env-var", "baseUrl="+w.url, "--reporters", "json",
		"--reporter-json-export", "report.json", "--bail")
	var report struct {
		Run struct {
			Stats struct {
				Assertions struct{ Total, Failed int }
			}
		}
	}
	if err := json.Unmarshal(read(t, dir, "report.json"), &report); err != nil {
		t.Fatal(err)
	}
	if got := report.Run.Stats.Assertions; got.Total != len(w.exchanges()) || got.Failed != 0 {
		t.Errorf("got %d tests, of which %d failed, want %d and 0", got.Total, got.Failed, len(w.exchanges()))
	}
	wantExchanges(t, s, w, before)
}

// TestHTTP sends the requests of the .http file with httpYac.
func TestHTTP(t *testing.T) {
	t.Parallel()
	testenv.SkipUnlessAll(t)
	env := packages(t, "collections")
	s, before := startInUse(t)
	w, dir := startRecorder(t, s), t.TempDir()
	const local = "@baseUrl = http://127.0.0.1:3000/prod\n"
	content := collectionFile(t, ".http")
	if !bytes.Contains(content, []byte(local)) {
		t.Fatalf("want a line %q, got\n%s", local, content)
	}
	content = bytes.Replace(content, []byte(local), []byte("@baseUrl = "+w.url+"\n"), 1)
	file := write(t, content, dir, "requests.http")
	run(t, dir, []string{"HOME=" + dir}, env.Program("httpyac"), "send", "--all", "--output", "none", filepath.Base(file))
	wantExchanges(t, s, w, before)
}

// startInUse starts a stack that has users with the ids in the document's examples. before is their items.
func startInUse(t *testing.T) (s *stacktest.TestStack, before map[string]any) {
	t.Helper()
	s = stacktest.Start(t)
	for _, id := range []string{"1", "2"} {
		s.Do(t, "POST", "/users", usertest.Body(t, `{"userId": "`+id+`"}`)).Want(t, 201)
	}
	return s, s.AllItems(t)
}

// wantExchanges checks that the requests of a collection cover every operation of the document with its success, and
// left only the users that existed before.
func wantExchanges(t *testing.T, s *stacktest.TestStack, w *recorder, before map[string]any) {
	t.Helper()
	exchanges := w.exchanges()
	for _, r := range document(t).Routes() {
		path := regexp.MustCompile(`\\\{[^/]+\\\}`).ReplaceAllString(regexp.QuoteMeta(r.Path), "[^/ ]+")
		operation := regexp.MustCompile("^" + r.Method + " " + path + " (.*)$")
		sent := false
		for _, exchange := range exchanges {
			if found := operation.FindStringSubmatch(exchange); found != nil {
				sent = true
				if !strings.HasPrefix(found[1], "2") {
					t.Errorf("got %s, want a success", exchange)
				}
			}
		}
		if !sent {
			t.Errorf("got %q, want also %s %s", exchanges, r.Method, r.Path)
		}
	}
	if d := gocmp.Diff(before, s.AllItems(t)); d != "" {
		t.Errorf("users (-want +got):\n%s", d)
	}
}
