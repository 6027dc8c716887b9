package clients_test

import (
	"context"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/shared/client"
	"github.com/userrequestapi/userdata/shared/user/usertest"
	"github.com/userrequestapi/userdata/shared/userdata"
)

var exported = regexp.MustCompile(`(?m)^export AWS_SHARED_CREDENTIALS_FILE="\$PWD/\.local/(\S+)" AWS_REGION=(\S+)$`)

// localCredentials returns the file with the access key of a local stack, and the Region, from the line in docs/run.md
// that exports them.
func localCredentials(t *testing.T, s *stacktest.TestStack) (file, region string) {
	t.Helper()
	found := exported.FindSubmatch(read(t, testenv.Root(t), "docs", "run.md"))
	if found == nil {
		t.Fatalf("docs/run.md: want a line that matches %s, got none", exported)
	}
	return filepath.Join(s.DataDir, string(found[1])), string(found[2])
}

// localIAM returns an authorization with the access key of a local stack and a session token.
func localIAM(t *testing.T, s *stacktest.TestStack, sessionToken string) func(*http.Request) error {
	t.Helper()
	file, region := localCredentials(t, s)
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithSharedCredentialsFiles([]string{file}),
		config.WithSharedConfigFiles([]string{}), config.WithSharedConfigProfile("default"))
	if err != nil {
		t.Fatal(err)
	}
	provider := func(ctx context.Context) (aws.Credentials, error) {
		keys, err := cfg.Credentials.Retrieve(ctx)
		keys.SessionToken = sessionToken
		return keys, err
	}
	return client.IAM(aws.CredentialsProviderFunc(provider), region)
}

// TestIAM checks that signatures are valid for each path, query and body. The local stack verifies them as
// API Gateway does.
func TestIAM(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t, stacktest.Parameters(map[string]string{"Authorization": "AWS_IAM"}))
	for _, id := range []string{"a/b é~!+*", "read~", "deleted~"} { // only another program can have written the first one
		s.PutItem(t, userdata.Item(usertest.Attributes(t, "userId", id)))
	}
	send := func(t *testing.T, method, path, body string, authorize func(*http.Request) error) stacktest.Response {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		if err := authorize(request); err != nil {
			t.Fatal(err)
		}
		return s.Send(t, request)
	}
	for _, tt := range []struct {
		method, path, body string
		want               int
	}{
		{"GET", "/users/a%2Fb%20%C3%A9~!+*", "", 200},
		{"GET", "/users/a%2fb%20%c3%a9%7E%21%2B%2A", "", 200},
		{"GET", "/users?userId=a%2Fb+%C3%A9~!%2B*", "", 200},
		{"GET", "/users?userId=a/b%20%C3%A9%7E%21%2B%2A", "", 200},
		{"GET", "/users?limit=5&b=&a=2&a=1&c", "", 200},
		{"GET", "/users/%20", "", 404},
		{"PUT", "/users/a%2Fb%20%C3%A9~!+*", usertest.Body(t, `{"name": "é"}`), 200},
		{"POST", "/users", usertest.Body(t, `{"userId": "created~"}`), 201},
		{"GET", "/users/read~", "", 200},
		{"DELETE", "/users/deleted%7E", "", 204},
	} {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			t.Parallel()
			send(t, tt.method, tt.path, tt.body, localIAM(t, s, "")).Want(t, tt.want)
		})
	}
	t.Run("session token", func(t *testing.T) {
		t.Parallel()
		// The local stack has no temporary credentials, and refuses the token after it has verified the signature.
		problem := send(t, "GET", "/users/1", "", localIAM(t, s, "token")).Problem(t, 403, client.CodeInvalidSignature)
		if want := "The security token included in the request is invalid"; problem.Detail != want {
			t.Errorf("got %q, want %q", problem.Detail, want)
		}
	})
}
