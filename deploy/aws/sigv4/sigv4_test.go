package sigv4_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
	"github.com/userrequestapi/userdata/deploy/aws/sigv4"
)

func request(t *testing.T, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://api.example.org/prod/users/1?a=b", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// The tests of package local send signed requests to the local stack, which verifies signatures.
func TestSign(t *testing.T) {
	t.Parallel()
	signed := regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=AKIA/\d{8}/eu-west-1/execute-api/aws4_request, SignedHeaders=\S*\bhost;` +
		`\S*x-amz-date\S*, Signature=([0-9a-f]{64})$`)
	signature := func(body string) string {
		req := request(t, body)
		if err := sigv4.Sign(req, credentials.NewStaticCredentialsProvider("AKIA", "secret", ""), "eu-west-1"); err != nil {
			t.Fatal(err)
		}
		match := signed.FindStringSubmatch(req.Header.Get("Authorization"))
		if match == nil {
			t.Fatalf("Authorization = %s, want it to match %s", req.Header.Get("Authorization"), signed)
		}
		return match[1]
	}
	if signature("{}") == signature("{ }") {
		t.Error("got the same signature for two bodies, want different ones")
	}
}

// body records whether it was closed.
type body struct {
	io.Reader

	closed *bool
}

func (b body) Close() error {
	*b.closed = true
	return nil
}

func TestSign_Closes(t *testing.T) {
	t.Parallel()
	req, closed := request(t, "{}"), false
	req.GetBody = func() (io.ReadCloser, error) { return body{strings.NewReader("{}"), &closed}, nil }
	if err := sigv4.Sign(req, credentials.NewStaticCredentialsProvider("AKIA", "secret", ""), "eu-west-1"); err != nil || !closed {
		t.Errorf("error = %v, body closed = %t; want no error and true", err, closed)
	}
}

func TestSign_Fails(t *testing.T) {
	t.Parallel()
	absent := errors.New("no credentials")
	provider := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, absent })
	req := request(t, "{}")
	err := sigv4.Sign(req, provider, "eu-west-1")
	if !errors.Is(err, absent) || req.Header.Get("Authorization") != "" {
		t.Errorf("error = %v, want %v and no signature", err, absent)
	}
	if kind := awserrors.KindOf(err); kind != awserrors.NoCredentials {
		t.Errorf("kind = %v, want %v", kind, awserrors.NoCredentials)
	}
}

func TestCurl(t *testing.T) {
	t.Parallel()
	const want = `--aws-sigv4 "aws:amz:eu-west-1:execute-api" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" ` +
		`-H "X-Amz-Security-Token: $AWS_SESSION_TOKEN"`
	if got := sigv4.Curl("eu-west-1"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
