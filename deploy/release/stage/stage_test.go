package stage_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/release/stage"
)

func TestStackName(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, stage, want, fault string }{
		{name: "People", stage: "prod", want: "People"},
		{name: "People", stage: "dev", want: "People-dev"},
		{name: "The people", stage: "prod", fault: `info.title: want a letter and up to 21 letters, digits and hyphens`},
		{name: "PeopleOfTheWholeCompany", stage: "prod", fault: `got "PeopleOfTheWholeCompany"`},
	}
	for _, tt := range tests {
		t.Run(tt.name+" "+tt.stage, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			if err := os.CopyFS(root, os.DirFS(filepath.Join("..", "..", "testdata", "service"))); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(root, "deploy", "openapi.yaml")
			document, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			testenv.WriteFile(t, file, strings.Replace(string(document), "title: UserRequestAPI", "title: "+tt.name, 1))
			s, err := stage.Load(stage.Settings{Root: root, Stage: tt.stage})
			if tt.fault != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fault) {
					t.Errorf("error = %v, want %q in it", err, tt.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := s.StackName(); got != tt.want {
				t.Errorf("stack name = %s, want %s", got, tt.want)
			}
		})
	}
}
