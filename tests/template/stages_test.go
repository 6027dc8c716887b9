package template_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/release/stage"
)

// stageFiles returns the files of the stages by the name of the stage.
func stageFiles(t *testing.T) map[string]stage.File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(documents, "stages", "*.yaml"))
	if err != nil || len(names) == 0 {
		t.Fatalf("files of stages = %q, error %v, want at least one", names, err)
	}
	source, err := load()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]stage.File{}
	for _, path := range names {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		if files[name], err = stage.ReadFile(os.DirFS(documents), name, source.Parameters()); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// The files of the stages are valid.
func TestStages(t *testing.T) {
	t.Parallel()
	source, err := load()
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range stageFiles(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := source.CheckParameters(file.Parameters, file.Place); err != nil {
				t.Error(err)
			}
		})
	}
}
