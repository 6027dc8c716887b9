package stage_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/userrequestapi/userdata/deploy/release/stage"
	"github.com/userrequestapi/userdata/deploy/template"
)

func known() []string {
	return []string{"Architecture", "LogLevel", "LogRetentionDays", "Origins", "StageName"}
}

func files(content string) fs.FS {
	return fstest.MapFS{
		"stages/prod.yaml": {Data: []byte(content)},
		"stages/dev.yaml":  {Data: []byte("parameters:\n  LogLevel: DEBUG\n")},
		"template.yaml":    {},
	}
}

func TestReadFile(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, content string
		want          stage.File
	}{
		{"empty", "", stage.File{}},
		{"only comments", "# nothing\n", stage.File{}},
		{
			"all parameters commented out",
			"region: eu-west-1\nparameters:\n  # LogLevel: DEBUG\n",
			stage.File{Region: "eu-west-1"},
		},
		{
			"everything",
			"region: eu-west-1\naccount: 012345678901\nparameters:\n  LogLevel: DEBUG\n  LogRetentionDays: 30\n  Architecture: x86_64\n",
			stage.File{Region: "eu-west-1", Account: "012345678901", Parameters: map[string]string{
				"LogLevel": "DEBUG", "LogRetentionDays": "30", "Architecture": "x86_64",
			}},
		},
		{
			"values of all types",
			"account: \"012345678901\"\nparameters: {LogLevel: True, LogRetentionDays: 0.0500, Architecture: '', Origins: 'a, b'}\n",
			stage.File{Account: "012345678901", Parameters: map[string]string{
				"LogLevel": "true", "LogRetentionDays": "0.0500", "Architecture": "", "Origins": "a, b",
			}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := stage.ReadFile(files(tt.content), "prod", known())
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Name = "prod"
			if tt.want.Parameters == nil {
				tt.want.Parameters = map[string]string{}
			}
			tt.want.Parameters["StageName"] = "prod"
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreUnexported(stage.File{})); diff != "" {
				t.Errorf("stage (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFile_Place(t *testing.T) {
	t.Parallel()
	const content = "region: eu-west-1\nparameters:\n  LogLevel: DEBUG\n  Origins:\n    a, b\n"
	s, err := stage.ReadFile(files(content), "prod", known())
	if err != nil {
		t.Fatal(err)
	}
	for parameter, want := range map[string]string{
		"LogLevel": "stages/prod.yaml:3:13", "Origins": "stages/prod.yaml:5:5", "Architecture": "stages/prod.yaml",
	} {
		t.Run(parameter, func(t *testing.T) {
			t.Parallel()
			if got := s.Place(parameter); got != want {
				t.Errorf("place of %s = %s, want %s", parameter, got, want)
			}
		})
	}
}

func TestReadFile_Refused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, content string
		want          []string // the lines of the error
	}{
		{"no mapping", "- region\n", []string{"stages/prod.yaml:1:1: the stage: want a mapping of names to values"}},
		{"no YAML", "region: [\n", []string{"stages/prod.yaml: yaml: line 1: did not find expected node content"}},
		{"two documents", "region: a\n---\nregion: b\n", []string{"stages/prod.yaml: want one YAML document"}},
		{
			"a key with a typo",
			"regoin: a\n",
			[]string{"stages/prod.yaml:1:1: regoin: unknown name in the stage; did you mean region?"},
		},
		{
			"a key of something else",
			"Transform: a\n",
			[]string{"stages/prod.yaml:1:1: Transform: unknown name in the stage: want one of account, parameters, region"},
		},
		{
			"several errors",
			"region: a\naccount: 1234\nparameters:\n  LogLvl: DEBUG\n  architecture: arm64\n  Everything: yes\n  StageName: prod\n",
			[]string{
				`stages/prod.yaml:2:10: account: want 12 digits, got "1234"`,
				"stages/prod.yaml:4:3: LogLvl: unknown name in parameters; did you mean LogLevel?",
				"stages/prod.yaml:5:3: architecture: unknown name in parameters; did you mean Architecture?",
				"stages/prod.yaml:6:3: Everything: unknown name in parameters: want one of Architecture, LogLevel, LogRetentionDays, Origins, StageName",
				"stages/prod.yaml:7:3: StageName: remove it, the name of the file sets it",
			},
		},
		{"a key twice", "region: a\nregion: b\n", []string{"stages/prod.yaml:2:1: region: duplicate key"}},
		{
			"a parameter twice",
			"parameters:\n  LogLevel: INFO\n  LogLevel: INFO\n",
			[]string{"stages/prod.yaml:3:3: LogLevel: duplicate key"},
		},
		{
			"no value",
			"parameters:\n  LogLevel:\n",
			[]string{
				`stages/prod.yaml:2:12: LogLevel: no value; write "" for an empty string, or remove the key for the default`,
			},
		},
		{
			"a list",
			"parameters:\n  Origins: [a, b]\n",
			[]string{"stages/prod.yaml:2:12: Origins: want a string, a number, true or false"},
		},
		{
			"a mapping",
			"parameters:\n  Origins: {a: b}\n",
			[]string{"stages/prod.yaml:2:12: Origins: want a string, a number, true or false"},
		},
		{
			"a time",
			"parameters:\n  Origins: 2026-01-01\n",
			[]string{"stages/prod.yaml:2:12: Origins: want a string, a number, true or false"},
		},
		{
			"an alias",
			"region: &r eu-west-1\nparameters:\n  Origins: *r\n",
			[]string{"stages/prod.yaml:3:12: Origins: want a string, a number, true or false"},
		},
		{
			"parameters that are a string",
			"parameters: LogLevel\n",
			[]string{"stages/prod.yaml:1:13: parameters: want a mapping of names to values"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := stage.ReadFile(files(tt.content), "prod", known())
			if err == nil {
				t.Fatalf("stage = %+v, want an error", got)
			}
			if diff := cmp.Diff(tt.want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadFile_UnknownStage(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, want string }{
		{
			"prdo",
			`there is no stage "prdo" (stages: dev, prod); did you mean STAGE=prod? To add it, copy one of deploy/stages to deploy/stages/prdo.yaml and edit it`,
		},
		{
			"test",
			`there is no stage "test" (stages: dev, prod). To add it, copy one of deploy/stages to deploy/stages/test.yaml and edit it`,
		},
		{"../template", `there is no stage "../template" (stages: dev, prod).`},
		{"", `there is no stage "" (stages: dev, prod).`},
		{"local", "STAGE=local is the local stack, want a deployed stage: set STAGE to one of dev, prod"},
	}
	for _, tt := range tests {
		t.Run(strconv.Quote(tt.name), func(t *testing.T) {
			t.Parallel()
			got, err := stage.ReadFile(files(""), tt.name, known())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %+v, %v\nwant the error %s", got, err, tt.want)
			}
		})
	}
	if _, err := stage.ReadFile(fstest.MapFS{}, "prod", known()); err == nil ||
		!strings.Contains(err.Error(), "stages: none") {
		t.Errorf("error = %v, want no stages", err)
	}
}

func TestReadFile_Unreadable(t *testing.T) {
	t.Parallel()
	root := fstest.MapFS{"stages/prod.yaml": {Mode: fs.ModeDir}}
	if _, err := stage.ReadFile(root, "prod", known()); err == nil || !strings.Contains(err.Error(), "read the stage") {
		t.Errorf("error = %v, want a read error", err)
	}
}

// The stages of a service have valid parameters.
func TestReadFile_Service(t *testing.T) {
	t.Parallel()
	root := os.DirFS("../../testdata/service/deploy")
	source, err := template.Load(root)
	if err != nil {
		t.Fatal(err)
	}
	found, err := fs.Glob(root, "stages/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range found {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		names[name] = true
		s, err := stage.ReadFile(root, name, source.Parameters())
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := source.Render(template.Options{Parameters: s.Parameters}); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if got := s.Parameters["Authorization"]; got != template.AuthorizationIAM {
			t.Errorf("%s: Authorization is %s, want %s", file, got, template.AuthorizationIAM)
		}
	}
	if !names["prod"] || !names["dev"] {
		t.Errorf("stages = %v, want prod and dev", names)
	}
}
