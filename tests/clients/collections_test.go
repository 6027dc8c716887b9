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

// exchanges returns the requests of a collection and their status codes, in order.
func exchanges() []string {
	return []string{
		"GET / 200",
		"HEAD / 200",
		"POST /users 201",
		"GET /users 200",
		"HEAD /users 200",
		"PUT /users 200",
		"DELETE /users 204",
		"POST /users 201",
		"GET /users/{userId} 200",
		"HEAD /users/{userId} 200",
		"PUT /users/{userId} 200",
		"DELETE /users/{userId} 204",
	}
}

// TestExchanges checks that exchanges covers every operation of the document.
func TestExchanges(t *testing.T) {
	t.Parallel()
	all := strings.Join(exchanges(), "\n")
	for _, r := range document(t).Routes() {
		if operation := r.Method + " " + r.Path + " "; !strings.Contains(all, operation) {
			t.Errorf("exchanges: got none for %s, want one for each operation of the document", operation)
		}
	}
}

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
	if got := report.Run.Stats.Assertions; got.Total != len(exchanges()) || got.Failed != 0 {
		t.Errorf("got %d tests, of which %d failed, want %d and 0", got.Total, got.Failed, len(exchanges()))
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

// wantExchanges checks that all requests of a collection were sent with the expected responses, and left only the users
// that existed before.
func wantExchanges(t *testing.T, s *stacktest.TestStack, w *recorder, before map[string]any) {
	t.Helper()
	got := w.exchanges()
	for i := range got {
		got[i] = regexp.MustCompile(`/users/[^ ]+`).ReplaceAllString(got[i], "/users/{userId}")
	}
	if d := gocmp.Diff(exchanges(), got); d != "" {
		t.Errorf("exchanges (-want +got):\n%s", d)
	}
	if d := gocmp.Diff(before, s.AllItems(t)); d != "" {
		t.Errorf("users (-want +got):\n%s", d)
	}
}
