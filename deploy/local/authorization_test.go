package local_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/local"
)

// emptyDatabase starts a DynamoDB stub in which every table exists.
func emptyDatabase(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		_, _ = w.Write([]byte(`{"Table": {"TableStatus": "ACTIVE"}}`))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// start starts a stack whose functions are never invoked.
func start(t *testing.T, dataDir string, parameters map[string]string) (*local.Instance, error) {
	t.Helper()
	stack, err := local.Start(t.Context(), local.Config{
		Root: root, DataDir: dataDir, Parameters: parameters, DynamoDBEndpoint: emptyDatabase(t), Bootstraps: fakeBootstraps(t),
	})
	if err == nil {
		t.Cleanup(func() {
			if err := stack.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return stack, err
}

// status returns the status code for a request that never reaches a function: 400 if it is authorized.
func status(t *testing.T, stack *local.Instance, change func(*http.Request) error) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, stack.URL+"/users?userId=%20", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if err := change(req); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	return res.StatusCode
}

func TestStack_Authorize(t *testing.T) {
	t.Parallel()
	for authorization, refused := range map[string]int{"": 400, "NONE": 400, "AWS_IAM": 403, "API_KEY": 403, "COGNITO_USER_POOLS": 401} {
		t.Run(authorization, func(t *testing.T) {
			t.Parallel()
			parameters := map[string]string{}
			if authorization != "" {
				parameters["Authorization"] = authorization
			}
			stack, err := start(t, t.TempDir(), parameters)
			if err != nil {
				t.Fatal(err)
			}
			if got := status(t, stack, stack.Authorize); got != 400 {
				t.Errorf("authorized request: status = %d, want 400", got)
			}
			if got := status(t, stack, func(*http.Request) error { return nil }); got != refused {
				t.Errorf("unauthorized request: status = %d, want %d", got, refused)
			}
		})
	}
}

// TestStart_UserPoolKey checks that the key of the user pool and tokens outlive the stack, and that only the user can
// read the key.
func TestStart_UserPoolKey(t *testing.T) {
	t.Parallel()
	dataDir := t.TempDir()
	file := filepath.Join(dataDir, "userpool.json")
	parameters := map[string]string{"Authorization": "COGNITO_USER_POOLS"}
	first, err := start(t, dataDir, parameters)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, first.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Authorize(req); err != nil {
		t.Fatal(err)
	}
	setToken := func(r *http.Request) error {
		r.Header.Set("Authorization", req.Header.Get("Authorization"))
		return nil
	}
	second, err := start(t, dataDir, parameters)
	if err != nil {
		t.Fatal(err)
	}
	if got := status(t, second, setToken); got != 400 {
		t.Errorf("token of an earlier run: status = %d, want 400", got)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, error = %v; want 0600", info.Mode(), err)
	}

	elsewhere, err := start(t, t.TempDir(), parameters)
	if err != nil {
		t.Fatal(err)
	}
	if got := status(t, elsewhere, setToken); got != 401 {
		t.Errorf("token of another stack: status = %d, want 401", got)
	}
	other, err := start(t, dataDir, map[string]string{
		"Authorization": "COGNITO_USER_POOLS", "UserPoolArn": "arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_AbCdEfGhI",
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := status(t, other, setToken); got != 401 {
		t.Errorf("token of another user pool: status = %d, want 401", got)
	}
	if got := status(t, other, other.Authorize); got != 400 {
		t.Errorf("token of the configured user pool: status = %d, want 400", got)
	}

	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var key map[string]any
	if err := json.Unmarshal(text, &key); err != nil {
		t.Fatal(err)
	}
	public, err := json.Marshal(map[string]any{"kty": key["kty"], "n": key["n"], "e": key["e"]})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"empty": "", "invalid JSON": "{", "no key": "{}", "public key": string(public)} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := start(t, dataDir, parameters); err == nil || !strings.Contains(err.Error(), "want a private key in "+file) {
			t.Errorf("%s: error = %v, want the path of the file", name, err)
		}
	}
}
