package emulator

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"os/exec"
	"testing"
)

//go:embed decide.py
var decide string

// Call is a request to AWS that IAM evaluates.
type Call struct {
	Action   string         `json:"action"`   // such as apigateway:DELETE
	Resource string         `json:"resource"` // an ARN
	Context  map[string]any `json:"context"`  // strings, or lists of strings, by condition key
}

// Allows reports for each request whether the identity-based policies, which are JSON documents, together allow it. It
// does not start an account. It skips the test as [Start] does.
func Allows(tb testing.TB, requests []Call, policies ...string) []bool {
	tb.Helper()
	given, err := json.Marshal(map[string]any{"policies": policies, "requests": requests})
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(tb.Context(), environment(tb).Program("python"), "-c", decide)
	var printed, failure bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(given), &printed, &failure
	if err := cmd.Run(); err != nil {
		tb.Fatalf("evaluate the policy: %v\n%s", err, failure.Bytes())
	}
	var allowed []bool
	if err := json.Unmarshal(printed.Bytes(), &allowed); err != nil {
		tb.Fatalf("evaluate the policy: %v", err)
	}
	if len(allowed) != len(requests) {
		tb.Fatalf("evaluate the policy: got %d decisions, want %d", len(allowed), len(requests))
	}
	return allowed
}
