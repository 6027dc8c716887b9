package smoke_test

import (
	"context"
	"crypto/rand"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/userrequestapi/userdata/deploy/build"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local"
	"github.com/userrequestapi/userdata/deploy/local/dynamodb"
	"github.com/userrequestapi/userdata/deploy/release/smoke"
	"github.com/userrequestapi/userdata/deploy/template"
)

// The smoke test passes on the local stack for each authorization and with If-Match required.
func TestRun_Local(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds the functions and starts DynamoDB Local")
	}
	// All subtests share one database and one build.
	first := start(t, local.Config{
		DynamoDBEndpoint: os.Getenv(testenv.EndpointVariable),
		Parameters:       map[string]string{"Authorization": template.AuthorizationNone},
	})
	if err := smoke.Run(t.Context(), target(t, first, template.AuthorizationNone)); err != nil {
		t.Error(err)
	}
	for _, authorization := range []string{template.AuthorizationIAM, template.AuthorizationAPIKey, template.AuthorizationCognito} {
		t.Run(authorization, func(t *testing.T) {
			t.Parallel()
			stack := start(t, local.Config{
				DynamoDBEndpoint: first.Database,
				Parameters: map[string]string{
					"Authorization": authorization, "RequireIfMatch": "true",
				},
			})
			if err := smoke.Run(t.Context(), target(t, stack, authorization)); err != nil {
				t.Error(err)
			}
		})
	}
}

func start(t *testing.T, cfg local.Config) *local.Instance {
	t.Helper()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Root, cfg.DataDir, cfg.Bootstraps = root, t.TempDir(), bootstraps(t)
	cfg.Parameters["StageName"] = "t" + strings.ToLower(rand.Text()[:12]) // the database may be shared with other tests
	stack, err := local.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stack.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { deleteTable(t, stack) })
	return stack
}

func deleteTable(t *testing.T, stack *local.Instance) {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := dynamodb.Connect(
		stack.Database,
		func(o *awsdynamodb.Options) { o.HTTPClient = &http.Client{Transport: transport} },
	)
	_, err := client.DeleteTable(
		context.WithoutCancel(t.Context()),
		&awsdynamodb.DeleteTableInput{TableName: &stack.Tables()[0].Name},
	)
	if err != nil {
		t.Errorf("delete the table: %v", err)
	}
}

// bootstraps returns the executables of the functions that tests share, or nil, so that the stack builds its own.
func bootstraps(t *testing.T) map[string]string {
	t.Helper()
	dir := os.Getenv(testenv.FunctionsVariable)
	if dir == "" {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	paths := map[string]string{}
	for _, entry := range entries {
		paths[entry.Name()] = filepath.Join(dir, entry.Name(), build.Executable)
	}
	return paths
}

// target returns the stack as a target, with its example credentials.
func target(t *testing.T, stack *local.Instance, authorization string) smoke.Target {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, stack.URL+"/users", http.NoBody)
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
		Authorization: authorization,
		APIKey:        req.Header.Get("X-Api-Key"),
		Progress:      func(line string) { t.Log(line) },
		Config:        aws.Config{Region: "us-east-1", HTTPClient: &http.Client{Transport: transport}},
	}
	switch authorization {
	case template.AuthorizationCognito:
		target.Token = req.Header.Get("Authorization")
	case template.AuthorizationIAM: // the example of AWS's documentation, which the local stack accepts
		target.Config.Credentials = credentials.NewStaticCredentialsProvider(
			"AKIAIOSFODNN7EXAMPLE",
			"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
			"",
		)
	}
	return target
}
