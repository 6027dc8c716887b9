package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/local"
	"github.com/userrequestapi/userdata/deploy/release/smoke"
	"github.com/userrequestapi/userdata/deploy/template"
)

// The smoke test of deployments passes for each authorization and with If-Match required.
func TestSmoke(t *testing.T) {
	t.Parallel()
	for authorization, requireIfMatch := range map[string]string{
		template.AuthorizationNone:    "false",
		template.AuthorizationIAM:     "true",
		template.AuthorizationAPIKey:  "true",
		template.AuthorizationCognito: "true",
	} {
		t.Run(authorization, func(t *testing.T) {
			t.Parallel()
			stack := stacktest.Start(t,
				stacktest.Parameters(map[string]string{"Authorization": authorization, "RequireIfMatch": requireIfMatch}))
			if err := smoke.Run(t.Context(), smokeTarget(t, stack, authorization)); err != nil {
				t.Error(err)
			}
		})
	}
}

// smokeTarget returns the stack as a target, with a caller that has its credentials.
func smokeTarget(t *testing.T, stack *stacktest.TestStack, authorization string) smoke.Target {
	t.Helper()
	document, err := contract.Read(os.DirFS(filepath.Join(testenv.Root(t), "deploy")))
	if err != nil {
		t.Fatal(err)
	}
	c, err := local.Caller(authorization, stack.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return smoke.Target{
		URL: stack.URL, Document: document, Caller: c, Client: &http.Client{Transport: transport},
		Progress: func(line string) { t.Log(line) },
	}
}
