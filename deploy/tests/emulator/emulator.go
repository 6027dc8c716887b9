// Package emulator starts an emulated AWS account for tests. It uses ministack, an emulator of AWS services that runs
// Lambda functions as local processes.
package emulator

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	_ "embed"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sigv4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/host/process"
	"github.com/userrequestapi/userdata/deploy/host/tools"
)

//go:embed requirements.txt
var requirements []byte

//go:embed ministack.py
var ministack string

const (
	accountID = "123456789012"
	region    = "eu-central-1"
	stopGrace = 5 * time.Second
	poll      = 10 * time.Millisecond
	attempts  = 5
	maxLog    = 64 << 10 // bytes of the log that a failed test prints
)

// Account is an AWS account with the credentials of a user; [Start] and [StartTLS] return those of the root user. The
// account is empty and ends with the test. It enforces the policies of users, roles and buckets, except for the root
// user.
type Account struct {
	Endpoint string // of all services, such as http://127.0.0.1:4566
	Region   string
	ID       string // 12 digits

	credentials aws.Credentials
	certificate string       // the file with the endpoint's certificate; "" without TLS
	client      *http.Client // trusts the certificate
}

// Start starts an account for a test. It skips the test with -short, and without Python unless the environment variable
// CI is set. The log of the account is printed if the test fails.
func Start(tb testing.TB) *Account {
	tb.Helper()
	return start(tb, false)
}

// StartTLS is [Start] with a TLS endpoint, for policies with aws:SecureTransport.
func StartTLS(tb testing.TB) *Account {
	tb.Helper()
	return start(tb, true)
}

// Config returns the SDK configuration for clients of the account.
func (a *Account) Config() aws.Config {
	return aws.Config{
		Region:       a.Region,
		BaseEndpoint: aws.String(a.Endpoint),
		HTTPClient:   a.client,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return a.credentials, nil
		}),
	}
}

// Client returns an HTTP client for the endpoint and the account's APIs. It trusts the endpoint's certificate.
func (a *Account) Client() *http.Client { return a.client }

// SignedClient returns an [Account.Client] that signs requests with Signature Version 4, for APIs with AWS_IAM
// authorization.
func (a *Account) SignedClient() *http.Client {
	return &http.Client{Transport: signing{account: a, signer: sigv4.NewSigner()}}
}

// Env returns environment variables to append to [os.Environ], which make the AWS SDKs and tools of a child process use
// the account instead of the user's profile and settings.
func (a *Account) Env() []string {
	variables := []string{
		"AWS_ENDPOINT_URL=" + a.Endpoint,
		"AWS_REGION=" + a.Region,
		"AWS_DEFAULT_REGION=" + a.Region,
		"AWS_ACCESS_KEY_ID=" + a.credentials.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY=" + a.credentials.SecretAccessKey,
		"AWS_SESSION_TOKEN=",
		"AWS_PROFILE=",
		"AWS_CONFIG_FILE=" + os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
		"AWS_EC2_METADATA_DISABLED=true",
	}
	if a.certificate != "" {
		// SSL_CERT_FILE is for Go programs.
		variables = append(variables, "AWS_CA_BUNDLE="+a.certificate, "SSL_CERT_FILE="+a.certificate)
	}
	return variables
}

// User creates a user with an identity-based policy, a JSON document, and returns the account with the user's
// credentials.
func (a *Account) User(tb testing.TB, name, policy string) *Account {
	tb.Helper()
	client := iam.NewFromConfig(a.Config())
	if _, err := client.CreateUser(tb.Context(), &iam.CreateUserInput{UserName: &name}); err != nil {
		tb.Fatal(err)
	}
	_, err := client.PutUserPolicy(tb.Context(), &iam.PutUserPolicyInput{
		UserName: &name, PolicyName: aws.String("policy"), PolicyDocument: &policy,
	})
	if err != nil {
		tb.Fatal(err)
	}
	key, err := client.CreateAccessKey(tb.Context(), &iam.CreateAccessKeyInput{UserName: &name})
	if err != nil {
		tb.Fatal(err)
	}
	user := *a
	user.credentials = aws.Credentials{
		AccessKeyID:     aws.ToString(key.AccessKey.AccessKeyId),
		SecretAccessKey: aws.ToString(key.AccessKey.SecretAccessKey),
	}
	return &user
}

// InvokeURL returns the invoke URL of an API's stage. In AWS, it is
// https://{api}.execute-api.{region}.amazonaws.com/{stage}.
func (a *Account) InvokeURL(apiID, stage string) string {
	return a.Endpoint + "/_aws/execute-api/" + apiID + "/" + stage
}

func start(tb testing.TB, secure bool) *Account {
	tb.Helper()
	env := environment(tb)
	dir := tb.TempDir()
	logFile := filepath.Join(dir, "log")
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the emulated account printed:\n%s", tail(logFile))
		}
	})
	account := Account{
		Region: region,
		ID:     accountID,
		credentials: aws.Credentials{
			AccessKeyID:     accountID, // from which ministack derives the account
			SecretAccessKey: "root",
		},
		client: &http.Client{Transport: &http.Transport{}},
	}
	var variables []string
	if secure {
		var err error
		if variables, err = account.secure(dir); err != nil {
			tb.Fatal(err)
		}
	}
	tb.Cleanup(account.client.CloseIdleConnections)
	for attempt := 1; ; attempt++ {
		err := account.run(tb, exec.Command(env.Program("python"), "-c", ministack), dir, logFile, variables)
		if err == nil {
			return &account
		}
		if attempt == attempts || !errors.Is(err, errPortTaken) {
			tb.Fatal(err)
		}
	}
}

// environment returns the Python environment of the emulator. It skips the test as [Start] does.
func environment(tb testing.TB) *tools.Env {
	tb.Helper()
	if testing.Short() {
		tb.Skip("needs an emulated AWS account")
	}
	env, err := tools.Python(tb.Context(), requirements, func(step string) { tb.Log(step) })
	testenv.SkipAbsent(tb, err)
	return env
}

// secure creates the endpoint's certificate and returns the emulator's environment variables for it.
func (a *Account) secure(dir string) ([]string, error) {
	server := httptest.NewTLSServer(nil) // provides the certificate and a client that trusts it
	defer server.Close()
	pair := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("create the key of the endpoint: %w", err)
	}
	a.client = server.Client()
	a.certificate = filepath.Join(dir, "certificate.pem")
	keyFile := filepath.Join(dir, "key.pem")
	err = errors.Join(
		os.WriteFile(a.certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}), 0o600),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600),
	)
	if err != nil {
		return nil, fmt.Errorf("create the certificate of the endpoint: %w", err)
	}
	return []string{"USE_SSL=1", "MINISTACK_SSL_CERT=" + a.certificate, "MINISTACK_SSL_KEY=" + keyFile}, nil
}

// errPortTaken means that another process has taken the free port in the meantime.
var errPortTaken = errors.New("the port is taken")

// run starts the emulator on a free port and waits until it listens.
func (a *Account) run(tb testing.TB, cmd *exec.Cmd, dir, logFile string, variables []string) error {
	tb.Helper()
	port, err := freePort(tb.Context())
	if err != nil {
		return err
	}
	a.Endpoint = "http://127.0.0.1:" + port
	if a.certificate != "" {
		a.Endpoint = "https://127.0.0.1:" + port
	}
	output, err := os.Create(logFile)
	if err != nil {
		return fmt.Errorf("create the emulator's log: %w", err)
	}
	defer func() { _ = output.Close() }()
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = output, output
	// Not the environment of this process, because the functions inherit these variables.
	cmd.Env = slices.Concat(a.Env(), variables, []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + dir,
		"TMPDIR=" + dir,
		"PYTHONUNBUFFERED=1",
		"BIND_HOST=127.0.0.1",
		"GATEWAY_PORT=" + port,
		"MINISTACK_REGION=" + region,
		"MINISTACK_ACCOUNT_ID=" + accountID,
		"AUTH=true",          // enforce policies
		"IOT_MTLS_ENABLED=0", // it would listen on all addresses
		"SFTP_ENABLED=0",
		"LAMBDA_EXECUTOR=local",
	})
	p, err := process.Start(cmd)
	if err != nil {
		return err
	}
	ctx, cancel := testenv.WithDeadline(tb.Context(), tb)
	defer cancel()
	if err := awaitReady(ctx, p, logFile, a.Endpoint); err != nil {
		return errors.Join(err, p.Kill())
	}
	tb.Cleanup(func() {
		if err := p.Stop(stopGrace); err != nil {
			tb.Errorf("stop the emulated account: %v", err)
		}
	})
	return nil
}

// awaitReady waits until p logs that it listens. A request would not prove that: another process may have the port.
func awaitReady(ctx context.Context, p *process.Process, logFile, endpoint string) error {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		printed, err := os.ReadFile(logFile)
		switch {
		case err != nil:
			return fmt.Errorf("read the emulator's log: %w", err)
		case strings.Contains(string(printed), "Running on "+endpoint):
			return nil
		case strings.Contains(string(printed), "already in use"):
			return fmt.Errorf("start the emulator: %w", errPortTaken)
		}
		select {
		case <-p.Done():
			return fmt.Errorf("the emulator exited before it was ready: %v", p.State())
		case <-ctx.Done():
			return fmt.Errorf("the emulator is not ready: %w", context.Cause(ctx))
		case <-tick.C:
		}
	}
}

func freePort(ctx context.Context) (string, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err := errors.Join(err, listener.Close()); err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return port, nil
}

func tail(file string) []byte {
	content, err := os.ReadFile(file)
	if err != nil {
		return []byte(err.Error())
	}
	return content[max(0, len(content)-maxLog):]
}

type signing struct {
	account *Account
	signer  *sigv4.Signer
}

// RoundTrip signs and sends a copy of req, because a RoundTripper must not modify the request.
func (s signing) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		body, err = io.ReadAll(req.Body)
		if err := errors.Join(err, req.Body.Close()); err != nil {
			return nil, fmt.Errorf("read the body to sign: %w", err)
		}
	}
	signed := req.Clone(req.Context())
	signed.Body = io.NopCloser(bytes.NewReader(body))
	sum := sha256.Sum256(body)
	err := s.signer.SignHTTP(req.Context(), s.account.credentials, signed, hex.EncodeToString(sum[:]), "execute-api",
		s.account.Region, time.Now())
	if err != nil {
		return nil, fmt.Errorf("sign the request: %w", err)
	}
	return s.account.client.Transport.RoundTrip(signed)
}
