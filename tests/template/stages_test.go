package template_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/release/stage"
)

// The files of the stages are valid.
func TestStages(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(documents, "stages", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("files of stages = %q, error %v, want at least one", files, err)
	}
	source, err := load()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, err := stage.ReadFile(os.DirFS(documents), name, source.Parameters())
			if err == nil {
				err = source.CheckParameters(file.Parameters, file.Place)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}
