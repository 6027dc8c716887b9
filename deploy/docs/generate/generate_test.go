package generate_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/docs/generate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	operations = "shared/client/api/operations.go"
	http       = "docs/api/UserRequestAPI.http"
	postman    = "docs/api/UserRequestAPI.postman_collection.json"
	document   = "deploy/openapi.yaml"
)

// checkout copies the service in testdata, with the tools of this repository, and changes one of its files.
func checkout(t *testing.T, file, old, replacement string) string {
	t.Helper()
	const root = "../../.."
	files := map[string]string{}
	for _, name := range []string{"go.mod", "go.sum"} {
		files[name] = read(t, filepath.Join(root, name))
	}
	deploy, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	files["go.mod"] = strings.Replace(files["go.mod"], "=> ./deploy", "=> "+deploy, 1)
	for _, name := range []string{document, "shared/client/api/oapi-codegen.yaml", "shared/client/api/overlay.yaml"} {
		files[name] = read(t, filepath.Join("testdata", "service", name))
	}
	if !strings.Contains(files[file], old) {
		t.Fatalf("%s has no %q to replace", file, old)
	}
	files[file] = strings.Replace(files[file], old, replacement, 1)
	return testenv.Folder(t, files)
}

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestAll(t *testing.T) {
	t.Parallel()
	root := checkout(t, document, "operationId: createThing", "operationId: addThing")
	stale, err := generate.Stale(t.Context(), root)
	all := []string{operations, http, postman} // they do not exist yet
	if d := cmp.Diff(all, stale); err != nil || d != "" {
		t.Errorf("before: error %v (-want +got):\n%s", err, d)
	}
	var out strings.Builder
	if err := generate.All(t.Context(), root, &out); err != nil {
		t.Fatal(err)
	}
	if want := strings.Join(all, "\n") + "\n"; out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
	if content, err := os.ReadFile(filepath.Join(root, operations)); err != nil ||
		!bytes.Contains(content, []byte("func (c *Client) AddThing(")) {
		t.Errorf("error %v, want the changed operation in the client", err)
	}
	if stale, err := generate.Stale(t.Context(), root); err != nil || len(stale) > 0 {
		t.Errorf("after: got %q, %v, want nothing", stale, err)
	}
	if err := os.WriteFile(filepath.Join(root, http), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if stale, err := generate.Stale(t.Context(), root); err != nil || !cmp.Equal(stale, []string{http}) {
		t.Errorf("after a change by hand: got %q, %v, want %s", stale, err, http)
	}
}

// The collections are named after the API.
func TestStale_Renamed(t *testing.T) {
	t.Parallel()
	stale, err := generate.Stale(t.Context(), checkout(t, document, "title: UserRequestAPI", "title: ../Things and more"))
	want := []string{operations, "docs/api/Things-and-more.http", "docs/api/Things-and-more.postman_collection.json"}
	if d := cmp.Diff(want, stale); err != nil || d != "" {
		t.Errorf("stale files: error %v (-want +got):\n%s", err, d)
	}
}

func TestAll_Fails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, file, old, replacement string
		want                         []string
	}{
		{"no document", document, "openapi: 3.0.3", "openapi_: 3.0.3", []string{"openapi.yaml: ", "openapi is missing"}},
		{
			"a reference to nothing", document, `"#/components/responses/Created"`, `"#/components/responses/Made"`,
			[]string{"openapi.yaml: ", `"Made"`},
		},
		{
			"an action without effect",
			"shared/client/api/overlay.yaml",
			"$.components.responses.*.headers",
			"$.components.responses.*.nothing",
			[]string{"generate the Go client", "oapi-codegen.yaml", "$.components.responses.*.nothing"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			root := checkout(t, tt.file, tt.old, tt.replacement)
			err := generate.All(t.Context(), root, io.Discard)
			for _, want := range tt.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got error %v, want one with %q", err, want)
				}
			}
			wantNothingWritten(t, root)
		})
	}
}

func TestAll_Interrupted(t *testing.T) {
	t.Parallel()
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stopped)
	root := checkout(t, document, "operationId: createThing", "operationId: addThing")
	if err := generate.All(ctx, root, io.Discard); !errors.Is(err, stopped) {
		t.Errorf("got error %v, want %v", err, stopped)
	}
	wantNothingWritten(t, root)
}

func wantNothingWritten(t *testing.T, root string) {
	t.Helper()
	for _, name := range []string{operations, http, postman} {
		if _, err := os.Stat(filepath.Join(root, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: error %v, want no file", name, err)
		}
	}
}
