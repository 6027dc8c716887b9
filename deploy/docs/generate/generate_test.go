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

	"github.com/userrequestapi/userdata/deploy/docs/generate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	workspace  = "../../.."
	operations = "shared/client/api/operations.go"
	http       = "docs/api/UserRequestAPI.http"
	postman    = "docs/api/UserRequestAPI.postman_collection.json"
	document   = "deploy/openapi.yaml"
)

func TestStale_ThisWorkspace(t *testing.T) {
	t.Parallel()
	stale, err := generate.Stale(t.Context(), workspace)
	if err != nil || len(stale) > 0 {
		t.Errorf("got %q, %v, want no stale file; run go tool mage generate", stale, err)
	}
}

// checkout copies the files of this workspace that are needed for generation, and changes one of them.
func checkout(t *testing.T, file, old, replacement string) string {
	t.Helper()
	dir := t.TempDir()
	source := os.DirFS(workspace)
	err := fs.WalkDir(source, ".", func(path string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasPrefix(name, ".") && path != ".":
			return fs.SkipDir
		case strings.HasPrefix(name, "go.") && !entry.IsDir(), path == document, filepath.Dir(path) == "shared/client/api":
		default:
			return nil
		}
		content, err := fs.ReadFile(source, path)
		if err != nil {
			return err
		}
		if path == file {
			if !bytes.Contains(content, []byte(old)) {
				t.Fatalf("%s has no %q to replace", file, old)
			}
			content = bytes.Replace(content, []byte(old), []byte(replacement), 1)
		}
		to := filepath.Join(dir, path)
		return errors.Join(os.MkdirAll(filepath.Dir(to), 0o750), os.WriteFile(to, content, 0o600))
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestAll(t *testing.T) {
	t.Parallel()
	root := checkout(t, document, "operationId: createUser", "operationId: addUser")
	stale, err := generate.Stale(t.Context(), root)
	all := []string{operations, http, postman} // the collections do not exist yet
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
		!bytes.Contains(content, []byte("func (c *Client) AddUser(")) {
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

// Links to the generated files stay valid when the title of the API changes.
func TestStale_Renamed(t *testing.T) {
	t.Parallel()
	stale, err := generate.Stale(t.Context(), checkout(t, document, "title: UserRequestAPI", "title: ../Users and more"))
	if d := cmp.Diff([]string{http, postman}, stale); err != nil || d != "" {
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
			"a reference to nothing", document, `"#/components/schemas/UserPage"`, `"#/components/schemas/Pages"`,
			[]string{"openapi.yaml: ", `"Pages"`},
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
			before, err := os.ReadFile(filepath.Join(root, operations))
			if err != nil {
				t.Fatal(err)
			}
			err = generate.All(t.Context(), root, io.Discard)
			for _, want := range tt.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got error %v, want one with %q", err, want)
				}
			}
			if after, err := os.ReadFile(filepath.Join(root, operations)); err != nil || !bytes.Equal(before, after) {
				t.Errorf("error %v, want unchanged files", err)
			}
		})
	}
}

func TestAll_Interrupted(t *testing.T) {
	t.Parallel()
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stopped)
	root := checkout(t, document, "operationId: createUser", "operationId: addUser")
	before, err := os.ReadFile(filepath.Join(root, operations))
	if err != nil {
		t.Fatal(err)
	}
	if err := generate.All(ctx, root, io.Discard); !errors.Is(err, stopped) {
		t.Errorf("got error %v, want %v", err, stopped)
	}
	if after, err := os.ReadFile(filepath.Join(root, operations)); err != nil || !bytes.Equal(before, after) {
		t.Errorf("error %v, want unchanged files", err)
	}
}
