package contract_test

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/host/process"
	"github.com/userrequestapi/userdata/deploy/host/tools"
)

//go:embed requirements.txt
var requirements []byte

// Durations of the random requests.
const (
	localDuration = 30 * time.Second
	ciDuration    = 5 * time.Minute
)

// TestRandomRequests sends random requests that Schemathesis generates from the document, and follows links in
// responses. No response may be 5xx or undocumented. Valid requests must be accepted, and invalid ones rejected.
// SCHEMATHESIS_SEED reproduces a run.
func TestRandomRequests(t *testing.T) { //nolint:paralleltest // its findings depend on the available time
	testenv.SkipUnlessAll(t)
	s := stacktest.Start(t)
	env, err := tools.Python(t.Context(), requirements, func(step string) { t.Log(step) })
	testenv.SkipAbsent(t, err)
	root := testenv.Root(t)
	source, err := contract.Read(os.DirFS(filepath.Join(root, "deploy")))
	if err != nil {
		t.Fatal(err)
	}
	document := filepath.Join(t.TempDir(), "openapi.json")
	if err := os.WriteFile(document, source.Public().ForStage(s.URL, "The local stack", "").JSON(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, items := range source.Collections() { // with the ids of the examples
		s.Do(t, http.MethodPost, items.Path, string(encode(t, items.Example))).Want(t, http.StatusCreated)
	}
	duration := localDuration
	if os.Getenv("CI") != "" {
		duration = ciDuration
	}
	settings, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(env.Program("schemathesis"), "--config-file", filepath.Join(settings, "schemathesis.toml"),
		"run", document, "--url", s.URL,
		"--max-time", strconv.Itoa(int(duration.Seconds())), "--seed", seed(), "--continue-on-failure", "--no-color",
		"--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"+
			"response_schema_conformance,positive_data_acceptance,negative_data_rejection,missing_required_header,unsupported_method,"+
			"allow_header_conformance,use_after_free,ensure_resource_availability")
	cmd.Dir = t.TempDir() // for its files
	cmd.Env = append(os.Environ(), "SCHEMATHESIS_HOOKS="+filepath.Join(settings, "hooks.py"), "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := process.Run(t.Context(), cmd); err != nil {
		t.Errorf("schemathesis: %v", err)
	}
	sent := map[string]int{} // requests, by method and path
	for _, line := range s.AccessLog() {
		var access struct{ HTTPMethod, ResourcePath string }
		if err := json.Unmarshal([]byte(line), &access); err != nil {
			t.Fatal(err)
		}
		sent[access.HTTPMethod+" "+access.ResourcePath]++
	}
	t.Log("Requests:", sent)
	for _, r := range source.Routes() {
		if sent[r.Method+" "+r.Path] == 0 {
			t.Errorf("got no request %s %s, want some for each operation", r.Method, r.Path)
		}
	}
}

// seed returns the seed of the random requests.
func seed() string {
	return cmp.Or(os.Getenv("SCHEMATHESIS_SEED"), strconv.Itoa(rand.IntN(1<<31)))
}
