package observe_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/userrequestapi/userdata/deploy/observe"
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
	"github.com/userrequestapi/userdata/deploy/release/stage"
)

func getenv(variables map[string]string) func(string) string {
	return func(name string) string { return variables[name] }
}

func TestFromEnvironment(t *testing.T) {
	t.Parallel()
	const id = "1-6741b2c8-0123456789abcdef01234567"
	out, err := os.Create(filepath.Join(t.TempDir(), "out")) // no terminal
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	prod := stage.Settings{Root: "root", Stage: "prod"}
	const data = "root/.local"
	tests := []struct {
		name      string
		variables map[string]string
		want      observe.Settings
	}{
		{"defaults", nil, observe.Settings{Settings: prod, DataDir: data}},
		{
			"traces",
			map[string]string{
				"FAULT": "1", "ERROR": "1", "THROTTLE": "1", "COLD": "1", "SLOWER": "500ms", "SINCE": "1h", "OPERATION": "getUser", "STATUS": "5XX",
				"LIMIT": "10", "JSON": "1",
			},
			observe.Settings{
				Settings: prod, Fault: true, Error: true, Throttle: true, ColdStart: true, Slower: 500 * time.Millisecond, Since: time.Hour,
				Operation: "getUser", Status: "5xx", Limit: 10, JSON: true, DataDir: data,
			},
		},
		{
			"logs",
			map[string]string{"STAGE": "dev", "TRACE": "Root=" + id + ";Parent=53995c3f42cd8ad8;Sampled=1", "REQUEST": "8fbe593b-1c0a", "LEVEL": "warn",
				"FUNCTION": "get,put access", "SINCE": "7d", "DATA_DIR": "other"},
			observe.Settings{
				Settings: stage.Settings{Root: "root", Stage: "dev"}, TraceID: id, RequestID: "8fbe593b-1c0a", Level: "WARN",
				Functions: []string{"get", "put", "access"}, Since: 168 * time.Hour, DataDir: "other",
			},
		},
		{
			"follow", map[string]string{"FOLLOW": "1"},
			observe.Settings{Settings: prod, Follow: true, DataDir: data},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := observe.FromEnvironment("root", out, getenv(tt.variables))
			if err != nil {
				t.Fatal(err)
			}
			if got.Out != out {
				t.Errorf("Out = %v, want %v", got.Out, out)
			}
			options := []cmp.Option{cmpopts.IgnoreFields(observe.Settings{}, "Out", "Printer", "Ask", "Line"), cmpopts.EquateEmpty()}
			if diff := cmp.Diff(tt.want, got, options...); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("follow a single request", func(t *testing.T) {
		t.Parallel()
		_, err := observe.FromEnvironment("root", out, getenv(map[string]string{"FOLLOW": "1", "REQUEST": "8fbe593b-1c0a"}))
		if code(err) != exitcode.Settings || !strings.Contains(err.Error(), "a single request has no new lines") {
			t.Errorf("error = %v with code %d, want code %d", err, code(err), exitcode.Settings)
		}
	})
	t.Run("all faults at once", func(t *testing.T) {
		t.Parallel()
		wrong := map[string]string{
			"FAULT": "yes", "SLOWER": "slow", "SINCE": "yesterday", "LIMIT": "-1", "OPERATION": `x" OR fault`, "STATUS": "4x", "TRACE": "6741b2c8",
			"REQUEST": `" ?`, "LEVEL": "LOUD", "FOLLOW": "on",
		}
		_, err := observe.FromEnvironment("root", out, getenv(wrong))
		if code(err) != exitcode.Settings {
			t.Fatalf("error = %v with code %d, want code %d", err, code(err), exitcode.Settings)
		}
		for name, value := range wrong {
			if !strings.Contains(err.Error(), name+": want ") {
				t.Errorf("%s=%s: error = %v, want %q in it", name, value, err, name+": want ")
			}
		}
	})
}
