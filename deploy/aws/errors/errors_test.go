package errors_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"go.uber.org/goleak"

	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// settings returns the configuration of clients for an endpoint, with two attempts.
func settings(address string) aws.Config {
	return aws.Config{
		Region: "eu-west-1", BaseEndpoint: &address,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
		HTTPClient:  &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = 2, time.Millisecond })
		},
	}
}

func query(code, message string) string {
	return fmt.Sprintf(`<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>`, code, message)
}

func describe(ctx context.Context, cfg aws.Config) error {
	_, err := cloudformation.NewFromConfig(cfg).DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: new("x")})
	return err
}

func head(ctx context.Context, cfg aws.Config) error {
	client := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	_, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: new("bucket"), Key: new("key")})
	return err
}

func put(ctx context.Context, cfg aws.Config) error {
	client := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: new("bucket"), Key: new("key"), Body: strings.NewReader("x")})
	return err
}

func whoami(ctx context.Context, cfg aws.Config) error {
	_, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, nil)
	return err
}

func update(ctx context.Context, cfg aws.Config) error {
	_, err := lambda.NewFromConfig(cfg).UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: new("x")})
	return err
}

func TestResponses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		call      func(context.Context, aws.Config) error
		status    int
		body      string
		errorType string // the header x-amzn-ErrorType
		kind      awserrors.Kind
		action    string
		want      []string
	}{
		{
			name: "expired", call: describe, status: 403, body: query("ExpiredToken", "The security token included in the request is expired"),
			kind: awserrors.Expired, want: []string{"the credentials have expired (ExpiredToken): sign in again, or set a new AWS_ACCESS_KEY_ID"},
		},
		{
			name: "expired, JSON", call: update, status: 403, errorType: "ExpiredTokenException", body: `{"message": "The security token included in the request is expired"}`,
			kind: awserrors.Expired, want: []string{"sign in again"},
		},
		{
			name: "unknown key", call: whoami, status: 403, body: query("InvalidClientTokenId", "The security token included in the request is invalid."),
			kind: awserrors.Invalid, want: []string{"AWS rejected the credentials", "AWS_PROFILE"},
		},
		{
			name: "unknown key, JSON", call: update, status: 403, errorType: "UnrecognizedClientException", body: `{"message": "The security token included in the request is invalid."}`,
			kind: awserrors.Invalid, want: []string{"AWS rejected the credentials"},
		},
		{
			name: "wrong secret", call: whoami, status: 403, body: query("SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided."),
			kind: awserrors.Invalid, want: []string{"check the secret access key and this machine's clock"},
		},
		{
			name: "wrong clock", call: whoami, status: 403,
			body: query("SignatureDoesNotMatch", "Signature expired: 20261122T200000Z is now earlier than 20261122T210000Z (20261122T211500Z - 15 min.)"),
			kind: awserrors.Clock, want: []string{"this machine's clock is wrong by minutes", "set the clock"},
		},
		{
			name: "wrong clock, S3", call: put, status: 403, body: `<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the current time is too large.</Message></Error>`,
			kind: awserrors.Clock, want: []string{"set the clock"},
		},
		{
			name: "denied", call: describe, status: 403,
			body: query("AccessDenied", "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: cloudformation:DescribeStacks on resource: "+
				"arn:aws:cloudformation:eu-west-1:123456789012:stack/x/* because no identity-based policy allows the cloudformation:DescribeStacks action"),
			kind: awserrors.Denied, action: "cloudformation:DescribeStacks",
			want: []string{"arn:aws:iam::123456789012:user/ci may not call cloudformation:DescribeStacks: docs/deploy.md has the policy"},
		},
		{
			name: "denied explicitly", call: update, status: 403, errorType: "AccessDeniedException",
			body: `{"Message": "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: lambda:UpdateFunctionCode on resource: x with an explicit deny in a service control policy"}`,
			kind: awserrors.Denied, action: "lambda:UpdateFunctionCode",
			want: []string{"may not call lambda:UpdateFunctionCode, with an explicit deny in a service control policy: ask the administrator"},
		},
		{
			name: "denied, S3", call: put, status: 403, body: `<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>`,
			kind: awserrors.Denied, action: "s3:PutObject", want: []string{"the credentials in use may not call s3:PutObject"},
		},
		{
			name: "denied, S3 without a body", call: head, status: 403,
			kind: awserrors.Denied, action: "s3:GetObject", want: []string{"may not call s3:GetObject"},
		},
		{
			name: "throttled", call: describe, status: 400, body: query("Throttling", "Rate exceeded"),
			kind: awserrors.Throttled, want: []string{"AWS throttled the request (Throttling: Rate exceeded)", "retry in a minute"},
		},
		{
			name: "throttled, by status", call: update, status: 429, body: `{}`, errorType: "OddException",
			kind: awserrors.Throttled, want: []string{"retry in a minute"},
		},
		{
			name: "quota", call: describe, status: 400, body: query("LimitExceededException", "Limit for stack has been exceeded"),
			kind: awserrors.Quota, want: []string{"the account has reached a quota", "Service Quotas"},
		},
		{
			name: "server error", call: describe, status: 500, body: query("InternalFailure", "An internal error occurred"),
			kind: awserrors.Unavailable, want: []string{"AWS has a fault (InternalFailure: An internal error occurred)"},
		},
		{
			name: "server error without a body", call: head, status: 503,
			kind: awserrors.Unavailable, want: []string{"AWS has a fault"},
		},
		{
			name: "other Region", call: put, status: 301, body: `<Error><Code>PermanentRedirect</Code><Message>The bucket you are attempting to access must be addressed using the specified endpoint.</Message></Error>`,
			kind: awserrors.Region, want: []string{"check AWS_REGION"},
		},
		{
			name: "Region not enabled", call: describe, status: 403, body: query("OptInRequired", "The AWS Access Key Id needs a subscription for the service"),
			kind: awserrors.Region, want: []string{"not enabled in this account"},
		},
		{
			name: "specific to the service", call: describe, status: 400, body: query("ValidationError", "Stack with id x does not exist."),
			kind: awserrors.Other, want: []string{"Stack with id x does not exist (CloudFormation DescribeStacks, ValidationError)"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if test.errorType != "" {
					w.Header().Set("X-Amzn-Errortype", test.errorType)
				}
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.body))
			}))
			defer server.Close()
			raw := test.call(t.Context(), settings(server.URL))
			check(t, raw, test.kind, test.want)
			explained, _ := errors.AsType[*awserrors.Error](awserrors.Explain(raw))
			if explained != nil && explained.Action != test.action {
				t.Errorf("action: got %q, want %q", explained.Action, test.action)
			}
			wantTemporary := test.kind == awserrors.Throttled || test.kind == awserrors.Unavailable
			if got := awserrors.Temporary(raw); got != wantTemporary {
				t.Errorf("temporary: got %v, want %v", got, wantTemporary)
			}
		})
	}
}

func check(t *testing.T, raw error, kind awserrors.Kind, want []string) {
	t.Helper()
	if raw == nil {
		t.Fatal("the call succeeded, want an error")
	}
	err := awserrors.Explain(raw)
	if got := awserrors.KindOf(raw); got != kind {
		t.Errorf("got kind %d, want %d: %v", got, kind, err)
	}
	for _, part := range want {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got %q, want %q in it", err, part)
		}
	}
	if inner := errors.Unwrap(err); inner == nil || inner.Error() != raw.Error() {
		t.Errorf("unwrapped: got %v, want the SDK's error", inner)
	}
	if again := awserrors.Explain(fmt.Errorf("deploy: %w", err)); awserrors.KindOf(again) != kind || again.Error() != "deploy: "+err.Error() {
		t.Errorf("explained twice: got %q, want %q of the same kind", again, "deploy: "+err.Error())
	}
}

func TestNoResponse(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // returns at once
	if err != nil {
		t.Fatal(err)
	}
	refusing := "http://" + listener.Addr().String()
	_ = listener.Close()
	resetting := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // otherwise the client may notice the reset while it sends the body
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(resetting.Close)
	portal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html><p>Welcome</html>")) }))
	t.Cleanup(portal.Close)
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(untrusted.Close)
	for _, test := range []struct{ name, address, want string }{
		{"refused", refusing, "AWS cannot be reached (dial tcp"},
		{"reset", resetting.URL, "AWS cannot be reached (EOF)"},
		{"portal", portal.URL, "the response is not from AWS"},
		{"name", "http://cloudformation.eu-west-9.invalid", "the host name cloudformation.eu-west-9.invalid cannot be resolved: check AWS_REGION"},
		{"certificate", untrusted.URL, "AWS cannot be reached (tls: failed to verify certificate: x509: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			raw := describe(t.Context(), settings(test.address))
			check(t, raw, awserrors.Unreachable, []string{test.want, "AWS_ENDPOINT_URL"})
			if !awserrors.Temporary(raw) {
				t.Error("temporary: got false, want true")
			}
		})
	}
}

func TestNoCredentials(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(query("AccessDenied",
			"User: arn:aws:iam::123456789012:user/ci is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::210987654321:role/deployer")))
	}))
	defer server.Close()
	for _, test := range []struct {
		name string
		env  map[string]string
		file string // ~/.aws/config
		kind awserrors.Kind
		want []string
	}{
		{"none", nil, "", awserrors.NoCredentials, []string{"there are no AWS credentials: set AWS_PROFILE"}},
		{"no such profile", map[string]string{"AWS_PROFILE": "nobody"}, "", awserrors.NoCredentials, []string{`there is no profile "nobody"`}},
		{
			"signed out", map[string]string{"AWS_PROFILE": "work"},
			"[profile work]\nsso_session = s\nsso_account_id = 123456789012\nsso_role_name = r\n[sso-session s]\nsso_region = eu-west-1\nsso_start_url = https://x.invalid/start\n",
			awserrors.Expired, []string{"the IAM Identity Center session has expired: sign in to it again"},
		},
		{
			"process", map[string]string{"AWS_PROFILE": "work"}, "[profile work]\ncredential_process = false\n",
			awserrors.NoCredentials, []string{"the credential process of the profile failed"},
		},
		{
			"role", map[string]string{"AWS_PROFILE": "work", "AWS_ENDPOINT_URL_STS": server.URL},
			"[profile work]\nrole_arn = arn:aws:iam::210987654321:role/deployer\nsource_profile = base\nregion = eu-west-1\n" +
				"[profile base]\naws_access_key_id = a\naws_secret_access_key = b\n",
			awserrors.Denied, []string{"cannot retrieve credentials: arn:aws:iam::123456789012:user/ci may not call sts:AssumeRole"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			home := t.TempDir()
			if err := os.WriteFile(home+"/config", []byte(test.file), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL"} {
				t.Setenv(name, "")
			}
			t.Setenv("HOME", home)
			t.Setenv("AWS_CONFIG_FILE", home+"/config")
			t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			client := awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) { tr.DisableKeepAlives = true })
			cfg, err := config.LoadDefaultConfig(t.Context(), config.WithRegion("eu-west-1"), config.WithHTTPClient(client),
				config.WithRetryer(settings("").Retryer))
			if err == nil {
				err = whoami(t.Context(), cfg)
			}
			check(t, err, test.kind, test.want)
		})
	}
}

func TestRegion(t *testing.T) {
	t.Parallel()
	for region, want := range map[string]string{"": "no AWS Region is set: set AWS_REGION", "eu west": "AWS_REGION is not a valid Region name"} {
		t.Run(strconv.Quote(region), func(t *testing.T) {
			t.Parallel()
			cfg := settings("")
			cfg.Region, cfg.BaseEndpoint = region, nil
			check(t, describe(t.Context(), cfg), awserrors.Region, []string{want})
		})
	}
}

func TestOtherErrors(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range []error{nil, errors.New("disk full"), describe(ctx, settings("http://127.0.0.1:1"))} {
		if got := awserrors.Explain(err); !errors.Is(got, err) || awserrors.KindOf(err) != awserrors.Other || awserrors.Temporary(err) {
			t.Errorf("Explain(%v): got %v, want it unchanged, of kind Other and not temporary", err, got)
		}
		if _, ok := errors.AsType[*awserrors.Error](awserrors.Explain(err)); ok {
			t.Errorf("%v: got an *Error, want it unchanged", err)
		}
	}
}
