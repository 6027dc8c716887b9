package client_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/userrequestapi/userdata/shared/client"
)

var authorization = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=AKIA-(\d)/(\d{8})/eu-west-1/execute-api/aws4_request, ` +
	`SignedHeaders=(\S+), Signature=([0-9a-f]{64})$`)

// TestIAM checks that each attempt is signed with the current time and credentials. The tests in tests/clients send
// signed requests to the local stack, which verifies signatures.
func TestIAM(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		wait := response{status: 503, retryAfter: "2"}
		s := &stub{responses: []response{wait, wait, {status: 201, body: `{"userId": "7"}`}}}
		var dates []string
		keys := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			dates = append(dates, time.Now().UTC().Format("20060102T150405Z"))
			id := fmt.Sprintf("AKIA-%d", len(dates))
			return aws.Credentials{AccessKeyID: id, SecretAccessKey: "secret", SessionToken: "token of " + id}, nil
		})
		c := newClient(t, s, client.WithAuthorization(client.IAM(keys, "eu-west-1")))
		if _, err := c.CreateUser(t.Context(), client.UserInput{Name: new("Ada")}, ""); err != nil {
			t.Fatal(err)
		}
		if len(s.requests) != 3 || len(dates) != 3 {
			t.Fatalf("got %d requests with credentials of %q, want 3", len(s.requests), dates)
		}
		signatures := map[string]bool{}
		for i, r := range s.requests {
			got := authorization.FindStringSubmatch(r.Header.Get("Authorization"))
			if got == nil {
				t.Fatalf("request %d: got Authorization %q, want a match of %s", i, r.Header.Values("Authorization"), authorization)
			}
			signatures[got[4]] = true
			if date := r.Header.Get("X-Amz-Date"); date != dates[i] || date[:8] != got[2] || i > 0 && date == dates[i-1] {
				t.Errorf("request %d: got date %s for the day %s, want the current %s", i, date, got[2], dates[i])
			}
			token := r.Header.Get("X-Amz-Security-Token")
			if token != "token of AKIA-"+got[1] || !strings.Contains(got[3], ";x-amz-security-token") {
				t.Errorf("request %d: got token %q, signed headers %s, want the signed token", i, token, got[3])
			}
		}
		if len(signatures) != 3 {
			t.Errorf("got signatures %v, want 3", signatures)
		}
	})
}

// TestIAM_Body checks that the signature depends on the body.
func TestIAM_Body(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &stub{responses: []response{{status: 201, body: `{"userId": "7"}`}}}
		c := newClient(t, s, client.WithAuthorization(client.IAM(static("AKIA-1"), "eu-west-1")))
		for _, name := range []string{"Ada", "Eve", "Ada"} { // the same length, key and time
			if _, err := c.CreateUser(t.Context(), client.UserInput{Name: &name}, "key"); err != nil {
				t.Fatal(err)
			}
		}
		signed := func(i int) string { return s.requests[i].Header.Get("Authorization") }
		if signed(0) == signed(1) || signed(0) != signed(2) {
			t.Errorf("got %s, %s and %s, want the first and the last to be the same", signed(0), signed(1), signed(2))
		}
	})
}

func static(keyID string) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: keyID, SecretAccessKey: keyID}, nil
	})
}

// TestIAM_Fails checks that a request that cannot be signed is neither sent nor retried, and that the error says what
// to do.
func TestIAM_Fails(t *testing.T) {
	t.Parallel()
	expired := errors.New("the SSO session has expired")
	failing := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, expired
	})
	const advice = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or sign in with aws sso login"
	for _, tt := range []struct {
		name        string
		credentials aws.CredentialsProvider
		region      string
		want        string
		cause       error
	}{
		{
			"expired", failing, "eu-west-1",
			"authorize: sign: get AWS credentials: the SSO session has expired; " + advice, expired,
		},
		{"no key", static(""), "eu-west-1", "the provider returned no access key; " + advice, nil},
		{"no provider", nil, "eu-west-1", "pass the Credentials of an aws.Config to IAM", nil},
		{"no Region", static("AKIA-1"), "", "want the Region of the stage, got none; set AWS_REGION", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &stub{responses: []response{{status: 200}}}
			c := newClient(t, s, client.WithAuthorization(client.IAM(tt.credentials, tt.region)))
			for name, call := range calls(t.Context(), c) {
				err := call()
				if err == nil || !strings.Contains(err.Error(), tt.want) || tt.cause != nil && !errors.Is(err, tt.cause) {
					t.Errorf("%s: got error %v, want %q", name, err, tt.want)
				}
				if client.OutcomeUnknown(err) {
					t.Errorf("%s: the outcome is unknown, want known", name)
				}
			}
			if len(s.requests) > 0 {
				t.Errorf("got %d requests, want 0", len(s.requests))
			}
		})
	}
}
