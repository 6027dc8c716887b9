package e2e_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

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
				stacktest.Parameters(map[string]string{"Authorization": authorization, "RequireIfMatch": requireIfMatch}),
				func(cfg *local.Config) { cfg.DataDir = t.TempDir() })
			if err := smoke.Run(t.Context(), smokeTarget(t, stack.Instance, authorization)); err != nil {
				t.Error(err)
			}
		})
	}
}

// smokeTarget returns the stack as a target, with its example credentials.
func smokeTarget(t *testing.T, stack *local.Instance, authorization string) smoke.Target {
	t.Helper()
	document, err := contract.Read(os.DirFS(filepath.Join(testenv.Root(t), "deploy")))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, stack.URL+"/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if err := stack.Authorize(req); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	target := smoke.Target{
		URL:           stack.URL,
		Document:      document,
		Authorization: authorization,
		APIKey:        req.Header.Get("X-Api-Key"),
		Progress:      func(line string) { t.Log(line) },
		Config:        aws.Config{Region: "us-east-1", HTTPClient: &http.Client{Transport: transport}},
	}
	switch authorization {
	case template.AuthorizationCognito:
		target.Token = req.Header.Get("Authorization")
	case template.AuthorizationIAM: // the example of AWS's documentation, which the local stack accepts
		target.Config.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{ //nolint:gosec // not a secret
				AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
			}, nil
		})
	}
	return target
}
