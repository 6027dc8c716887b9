package account_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/userrequestapi/userdata/deploy/aws/account"
	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
	"github.com/userrequestapi/userdata/deploy/host/command"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// environment returns the environment variables of a machine without AWS settings, except these variables and this
// configuration file.
func environment(t *testing.T, variables map[string]string, configFile string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "AWS_") {
			all[name] = ""
		}
	}
	all["HOME"] = t.TempDir()
	all["AWS_CONFIG_FILE"] = filepath.Join(all["HOME"], "config")
	all["AWS_SHARED_CREDENTIALS_FILE"] = filepath.Join(all["HOME"], "none")
	all["AWS_EC2_METADATA_DISABLED"] = "true"
	if err := os.WriteFile(all["AWS_CONFIG_FILE"], []byte(configFile), 0o600); err != nil {
		t.Fatal(err)
	}
	maps.Copy(all, variables)
	return all
}

// keys returns variables for credentials and a Region.
func keys() map[string]string {
	return map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIDENVIRONMENT", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-central-1",
	}
}

// tokens is an STS server ("AWS Security Token Service API Reference") that records its calls.
type tokens struct {
	refuse func(*http.Request) *refusal // may be nil

	mu    sync.Mutex
	calls []string // actions, with the access key that signed each
	code  string   // of the MFA device
}

type refusal struct {
	status        int
	code, message string
	date          time.Time // the Date header; the zero value means now
}

func (s *tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, credential, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	key, _, _ := strings.Cut(credential, "/")
	action := r.FormValue("Action")
	s.mu.Lock()
	s.calls = append(s.calls, action+" by "+key)
	if code := r.FormValue("TokenCode"); code != "" {
		s.code = code
	}
	s.mu.Unlock()
	if s.refuse != nil {
		if refused := s.refuse(r); refused != nil {
			if !refused.date.IsZero() {
				w.Header().Set("Date", refused.date.UTC().Format(http.TimeFormat))
			}
			w.WriteHeader(refused.status)
			_, _ = fmt.Fprintf(w, "<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error>"+
				"<RequestId>1</RequestId></ErrorResponse>", refused.code, refused.message)
			return
		}
	}
	switch action {
	case "GetCallerIdentity":
		type result struct {
			XMLName xml.Name `xml:"GetCallerIdentityResponse"`
			ARN     string   `xml:"GetCallerIdentityResult>Arn"`
			UserID  string   `xml:"GetCallerIdentityResult>UserId"`
			Account string   `xml:"GetCallerIdentityResult>Account"`
		}
		_ = xml.NewEncoder(w).Encode(result{ARN: "arn:aws-cn:iam::123456789012:user/deployer", UserID: "AIDA", Account: "123456789012"})
	case "AssumeRole":
		_, _ = fmt.Fprintf(w, "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>AKIDROLE</AccessKeyId>"+
			"<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>%s</Expiration></Credentials>"+
			"</AssumeRoleResult></AssumeRoleResponse>", time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	default:
		w.WriteHeader(http.StatusBadRequest)
	}
}

// serve starts the server and returns its URL.
func (s *tokens) serve(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return server.URL
}

func TestOpen(t *testing.T) {
	tests := []struct {
		name        string
		environment map[string]string
		config      string
		options     account.Options
		want        account.Account
		calls       []string
	}{
		{
			name:        "environment credentials",
			environment: keys(),
			config:      "[default]\nregion = us-west-2\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = s\n",
			options:     account.Options{Region: "eu-west-3"},
			want:        account.Account{Region: "eu-central-1"},
			calls:       []string{"GetCallerIdentity by AKIDENVIRONMENT"},
		},
		{
			name:    "default profile",
			config:  "[default]\nregion = us-west-2\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = s\n",
			options: account.Options{Region: "eu-west-3"},
			want:    account.Account{Region: "us-west-2"},
			calls:   []string{"GetCallerIdentity by AKIDPROFILE"},
		},
		{
			name:        "profile with the default Region",
			environment: map[string]string{"AWS_PROFILE": "dev"},
			config:      "[profile dev]\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = s\n",
			options:     account.Options{Region: "eu-west-3"},
			want:        account.Account{Region: "eu-west-3"},
			calls:       []string{"GetCallerIdentity by AKIDPROFILE"},
		},
		{
			name:        "role that requires an MFA code",
			environment: map[string]string{"AWS_PROFILE": "dev", "AWS_REGION": "eu-central-1"},
			config: "[profile dev]\nrole_arn = arn:aws:iam::123456789012:role/deployer\nsource_profile = me\n" +
				"mfa_serial = arn:aws:iam::123456789012:mfa/me\n" +
				"[profile me]\naws_access_key_id = AKIDME\naws_secret_access_key = s\n",
			options: account.Options{Ask: func(_ context.Context, question string) (string, error) {
				if !strings.Contains(question, "mfa/me") {
					return "", fmt.Errorf("question = %q, want it to name the device", question)
				}
				return "123456", nil
			}},
			want:  account.Account{Region: "eu-central-1"},
			calls: []string{"AssumeRole by AKIDME", "GetCallerIdentity by AKIDROLE"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for name, value := range environment(t, tt.environment, tt.config) {
				t.Setenv(name, value)
			}
			service := &tokens{}
			tt.want.Endpoint = service.serve(t)
			t.Setenv("AWS_ENDPOINT_URL", tt.want.Endpoint)
			t.Setenv("AWS_ENDPOINT_URL_STS", tt.want.Endpoint) // the SDK ignores AWS_ENDPOINT_URL when it assumes roles
			got, err := account.Open(t.Context(), tt.options)
			if err != nil {
				t.Fatal(err)
			}
			tt.want.ID, tt.want.ARN = "123456789012", "arn:aws-cn:iam::123456789012:user/deployer"
			tt.want.Partition = "aws-cn"
			if diff := cmp.Diff(&tt.want, got, cmpopts.IgnoreFields(account.Account{}, "Config")); diff != "" {
				t.Errorf("account (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.calls, service.calls); diff != "" {
				t.Errorf("calls of STS (-want +got):\n%s", diff)
			}
			if got.Config.Region != tt.want.Region || aws.ToString(got.Config.BaseEndpoint) != tt.want.Endpoint {
				t.Errorf("config: endpoint %s, Region %s, want %s, %s",
					aws.ToString(got.Config.BaseEndpoint), got.Config.Region, tt.want.Endpoint, tt.want.Region)
			}
			if tt.options.Ask != nil && service.code != "123456" {
				t.Errorf("code = %q, want 123456", service.code)
			}
		})
	}
}

// refuse responds to every request with an error code of STS.
func refuse(status int, code, message string) func(*http.Request) *refusal {
	return func(*http.Request) *refusal { return &refusal{status: status, code: code, message: message} }
}

func TestOpen_Refused(t *testing.T) {
	profile := func(rest string) string { return "[profile dev]\nregion = eu-central-1\n" + rest }
	static := profile("aws_access_key_id = AKIDPROFILE\naws_secret_access_key = s\n")
	dev := map[string]string{"AWS_PROFILE": "dev"}
	tests := []struct {
		name        string
		environment map[string]string
		config      string
		refuse      func(*http.Request) *refusal
		kind        awserrors.Kind
		want        []string // in the message
		calls       int      // of STS
	}{
		{
			name:        "no Region",
			environment: map[string]string{"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"},
			kind:        awserrors.Region,
			want:        []string{"no Region is set", "AWS_REGION=eu-central-1", "aws configure set region"},
		},
		{
			name:        "invalid Region",
			environment: map[string]string{"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "eu central/1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
			kind:        awserrors.Region,
			want:        []string{"AWS_REGION"},
		},
		{
			name:        "missing profile",
			environment: map[string]string{"AWS_PROFILE": "prd"},
			config:      static,
			kind:        awserrors.NoCredentials,
			want:        []string{`no profile "prd"`, "aws configure list-profiles", "aws configure --profile prd"},
		},
		{
			name:        "no credentials",
			environment: map[string]string{"AWS_REGION": "eu-central-1"},
			kind:        awserrors.NoCredentials,
			want:        []string{"there are no AWS credentials", "run aws configure", "AWS_PROFILE", "AWS_ACCESS_KEY_ID"},
		},
		{
			name:        "profile without credentials",
			environment: dev,
			config:      profile(""),
			kind:        awserrors.NoCredentials,
			want:        []string{"there are no AWS credentials", "run aws configure --profile dev"},
		},
		{
			name:        "IAM Identity Center, not signed in",
			environment: dev,
			config: profile("sso_session = corp\nsso_account_id = 123456789012\nsso_role_name = deployer\n" +
				"[sso-session corp]\nsso_region = eu-central-1\nsso_start_url = https://corp.awsapps.com/start\n"),
			kind: awserrors.Expired,
			want: []string{"run aws sso login --profile dev"},
		},
		{
			name:        "IAM Identity Center, not signed in, legacy configuration",
			environment: dev,
			config: profile("sso_account_id = 123456789012\nsso_role_name = deployer\nsso_region = eu-central-1\n" +
				"sso_start_url = https://corp.awsapps.com/start\n"),
			kind: awserrors.Expired,
			want: []string{"session has expired", "run aws sso login --profile dev"},
		},
		{
			name:        "login session, not signed in",
			environment: dev,
			config:      profile("login_session = arn:aws:iam::123456789012:user/me\n"),
			kind:        awserrors.NoCredentials,
			want:        []string{"run aws login --profile dev"},
		},
		{
			name:        "role that requires an MFA code, without a terminal",
			environment: dev,
			config: profile("role_arn = arn:aws:iam::123456789012:role/deployer\nsource_profile = me\n" +
				"mfa_serial = arn:aws:iam::123456789012:mfa/me\n[profile me]\naws_access_key_id = k\naws_secret_access_key = s\n"),
			kind: awserrors.NoCredentials,
			want: []string{"requires an MFA code", `eval "$(aws configure export-credentials --format env)"`},
		},
		{
			name:        "invalid configuration file",
			environment: dev,
			config:      "[profile dev\nregion",
			kind:        awserrors.NoCredentials,
			want:        []string{"load the AWS configuration"},
		},
		{
			name:        "role that the caller may not assume",
			environment: dev,
			config: profile("role_arn = arn:aws:iam::123456789012:role/deployer\nsource_profile = me\n" +
				"[profile me]\naws_access_key_id = k\naws_secret_access_key = s\n"),
			refuse: refuse(403, "AccessDenied", "User: arn:aws:iam::123456789012:user/me is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::123456789012:role/deployer"),
			kind:   awserrors.Denied,
			want:   []string{"user/me may not call sts:AssumeRole"},
			calls:  1,
		},
		{
			name:        "expired environment credentials",
			environment: keys(),
			refuse:      refuse(403, "ExpiredToken", "The security token included in the request is expired"),
			kind:        awserrors.Expired,
			want:        []string{"expired", "AWS_SESSION_TOKEN", "unset"},
			calls:       1,
		},
		{
			name:        "expired profile credentials",
			environment: dev,
			config:      static,
			refuse:      refuse(403, "ExpiredToken", "The security token included in the request is expired"),
			kind:        awserrors.Expired,
			want:        []string{"expired", "run aws configure --profile dev for new credentials"},
			calls:       1,
		},
		{
			name:        "invalid access key",
			environment: keys(),
			refuse:      refuse(403, "InvalidClientTokenId", "The security token included in the request is invalid."),
			kind:        awserrors.Invalid,
			want:        []string{"rejected the credentials", "AWS_ACCESS_KEY_ID", "AWS_REGION is enabled"},
			calls:       1,
		},
		{
			name:        "wrong secret key",
			environment: dev,
			config:      static,
			refuse:      refuse(403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided."),
			kind:        awserrors.Invalid,
			want:        []string{"signature", "aws configure --profile dev"},
			calls:       1,
		},
		{
			name:        "wrong clock, no Date header to correct it",
			environment: keys(),
			refuse:      refuse(403, "SignatureDoesNotMatch", "Signature expired: 20260101T000000Z is now earlier than 20260101T010000Z"),
			kind:        awserrors.Clock,
			want:        []string{"clock", "timedatectl"},
			calls:       1,
		},
		{
			name:        "response from another server",
			environment: keys(),
			refuse:      refuse(404, "", ""),
			kind:        awserrors.Other,
			want:        []string{"get the caller identity"},
			calls:       1,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for name, value := range environment(t, tt.environment, tt.config) {
				t.Setenv(name, value)
			}
			service := &tokens{refuse: tt.refuse}
			t.Setenv("AWS_ENDPOINT_URL", service.serve(t))
			t.Setenv("AWS_ENDPOINT_URL_STS", os.Getenv("AWS_ENDPOINT_URL"))
			got, err := account.Open(t.Context(), account.Options{})
			if err == nil {
				t.Fatalf("account = %+v, want an error", got)
			}
			if kind := awserrors.KindOf(err); kind != tt.kind {
				t.Errorf("kind of the error = %v, want %v", kind, tt.kind)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error = %v\nwant it to contain %q", err, want)
				}
			}
			if len(service.calls) != tt.calls {
				t.Errorf("calls of STS = %q, want %d", service.calls, tt.calls)
			}
		})
	}
}

// The SDK corrects its clock with the Date header of the response.
func TestOpen_ClockIsCorrected(t *testing.T) {
	for name, value := range environment(t, keys(), "") {
		t.Setenv(name, value)
	}
	ahead := time.Now().Add(time.Hour)
	service := &tokens{refuse: func(r *http.Request) *refusal {
		signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if err == nil && signed.After(ahead.Add(-5*time.Minute)) {
			return nil
		}
		return &refusal{403, "SignatureDoesNotMatch", "Signature expired: it is now earlier than", ahead}
	}}
	t.Setenv("AWS_ENDPOINT_URL", service.serve(t))
	if _, err := account.Open(t.Context(), account.Options{}); err != nil {
		t.Error(err)
	}
	if len(service.calls) != 2 {
		t.Errorf("calls of STS = %q, want one retry", service.calls)
	}
}

func TestOpen_Throttled(t *testing.T) {
	for name, value := range environment(t, keys(), "") {
		t.Setenv(name, value)
	}
	throttled := false
	service := &tokens{refuse: func(*http.Request) *refusal {
		if throttled {
			return nil
		}
		throttled = true
		return &refusal{status: 400, code: "Throttling", message: "Rate exceeded"}
	}}
	t.Setenv("AWS_ENDPOINT_URL", service.serve(t))
	if _, err := account.Open(t.Context(), account.Options{}); err != nil {
		t.Error(err)
	}
}

// A lasting server error is reported before each retry, and returned after less than a minute.
func TestAccount_LastingFault(t *testing.T) {
	for name, value := range environment(t, keys(), "") {
		t.Setenv(name, value)
	}
	var (
		broken   atomic.Bool
		attempts atomic.Int32 // while broken
	)
	service := &tokens{refuse: func(*http.Request) *refusal {
		if !broken.Load() {
			return nil
		}
		attempts.Add(1)
		return &refusal{status: 503, code: "InternalError", message: "We encountered an internal error. Please try again."}
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close") // leaves no connection in the bubble
		service.ServeHTTP(w, r)
	}))
	defer server.Close()
	t.Setenv("AWS_ENDPOINT_URL", server.URL)
	synctest.Test(t, func(t *testing.T) {
		var messages []string
		a, err := account.Open(t.Context(), account.Options{
			Waiting: func(message string) { messages = append(messages, message) },
		})
		if err != nil || len(messages) > 0 {
			t.Fatalf("error = %v, messages = %q, want neither", err, messages)
		}
		broken.Store(true)
		started := time.Now()
		_, err = sts.NewFromConfig(a.Config).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
		if awserrors.KindOf(err) != awserrors.Unavailable {
			t.Errorf("error = %v, want kind Unavailable", err)
		}
		if took := time.Since(started); took < 30*time.Second || took > 45*time.Second {
			t.Errorf("it took %s, want 30 to 45 s", took)
		}
		if got := attempts.Load(); got != 7 {
			t.Errorf("%d attempts, want 7", got)
		}
		want := regexp.MustCompile(`^AWS has a fault \(InternalError: We encountered .*\): retrying in \d+s$`)
		if len(messages) < 3 || slices.ContainsFunc(messages, func(m string) bool { return !want.MatchString(m) }) {
			t.Errorf("messages = %q, want at least three that match %s", messages, want)
		}
	})
}

func TestOpen_Unreachable(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	endpoint := "http://" + listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	for name, value := range environment(t, keys(), "") {
		t.Setenv(name, value)
	}
	t.Setenv("AWS_ENDPOINT_URL", endpoint)
	_, err = account.Open(t.Context(), account.Options{})
	if awserrors.KindOf(err) != awserrors.Unreachable || !strings.Contains(err.Error(), "AWS_ENDPOINT_URL="+endpoint) {
		t.Errorf("error = %v, want kind Unreachable with the endpoint", err)
	}
}

// dns starts a local DNS server for the hosts in exist and returns a resolver for it. A broken one responds SERVFAIL.
func dns(t *testing.T, broken bool, exist ...string) *net.Resolver {
	t.Helper()
	conn, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	go func() {
		defer close(done)
		packet := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(packet)
			if err != nil {
				return // closed
			}
			if response := respond(packet[:n], broken, exist); response != nil {
				_, _ = conn.WriteTo(response, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// respond returns the response to a DNS query: 127.0.0.1 for a host that exists, otherwise NXDOMAIN, or SERVFAIL if
// broken.
func respond(query []byte, broken bool, exist []string) []byte {
	var message dnsmessage.Message
	if message.Unpack(query) != nil || len(message.Questions) != 1 {
		return nil
	}
	question := message.Questions[0]
	message.Response, message.Authoritative, message.Additionals = true, true, nil
	switch name := strings.TrimSuffix(question.Name.String(), "."); {
	case broken:
		message.RCode = dnsmessage.RCodeServerFailure
	case !slices.Contains(exist, name):
		message.RCode = dnsmessage.RCodeNameError
	case question.Type == dnsmessage.TypeA:
		message.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: question.Name, Type: question.Type, Class: question.Class},
			Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
		}}
	}
	response, err := message.Pack()
	if err != nil {
		return nil
	}
	return response
}

// For a mistyped Region and a network without DNS the SDK returns the same error.
func TestOpen_HostNotFound(t *testing.T) {
	tests := []struct {
		name   string
		broken bool
		exist  []string
		kind   awserrors.Kind
		want   string
	}{
		{"mistyped Region", false, []string{"sts.amazonaws.com"}, awserrors.Region, `there is no Region "eu-cental-1": the host sts.eu-cental-1.amazonaws.com`},
		{"no host of AWS is found", false, nil, awserrors.Unreachable, "cannot be resolved"},
		{"no network", true, nil, awserrors.Unreachable, "sts.eu-cental-1.amazonaws.com"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			variables := keys()
			variables["AWS_REGION"], variables["HTTPS_PROXY"], variables["https_proxy"] = "eu-cental-1", "", ""
			for name, value := range environment(t, variables, "") {
				t.Setenv(name, value)
			}
			_, err := account.Open(t.Context(), account.Options{Resolver: dns(t, tt.broken, tt.exist...)})
			if awserrors.KindOf(err) != tt.kind || !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Errorf("error = %v of kind %v, want %q of kind %v", err, awserrors.KindOf(err), tt.want, tt.kind)
			}
		})
	}
}

// The commands in messages select the same profile and Region as the failed command, whichever call fails.
func TestCommands(t *testing.T) {
	variables := map[string]string{"AWS_PROFILE": "dev", "AWS_REGION": "eu-central-1"}
	for name, value := range environment(t, variables, "[profile dev]\naws_access_key_id = k\naws_secret_access_key = s\n") {
		t.Setenv(name, value)
	}
	refused := false
	service := &tokens{refuse: func(*http.Request) *refusal {
		if !refused {
			return nil
		}
		return &refusal{status: 403, code: "ExpiredToken", message: "The security token included in the request is expired"}
	}}
	t.Setenv("AWS_ENDPOINT_URL", service.serve(t))
	opened, err := account.Open(t.Context(), account.Options{Line: command.New(os.Getenv)})
	if err != nil {
		t.Fatal(err)
	}
	refused = true
	_, err = sts.NewFromConfig(opened.Config).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	want := "run AWS_REGION=eu-central-1 AWS_CONFIG_FILE=" + os.Getenv("AWS_CONFIG_FILE")
	if got := fmt.Sprint(awserrors.Explain(err)); !strings.Contains(got, want) || !strings.Contains(got, "aws configure --profile dev for new credentials") {
		t.Errorf("error = %v, want %q and aws configure with the profile dev", err, want)
	}
	t.Setenv("AWS_PROFILE", "prd")
	_, err = account.Open(t.Context(), account.Options{Line: command.New(os.Getenv)})
	if want := "AWS_CONFIG_FILE=" + os.Getenv("AWS_CONFIG_FILE"); strings.Count(fmt.Sprint(err), want) != 2 {
		t.Errorf("error = %v, want %q in both commands", err, want)
	}
}

func TestOpen_Interrupted(t *testing.T) {
	for name, value := range environment(t, keys(), "") {
		t.Setenv(name, value)
	}
	stop := errors.New("stop pressed")
	ctx, cancel := context.WithCancelCause(t.Context())
	service := &tokens{refuse: func(*http.Request) *refusal {
		cancel(stop)
		return &refusal{status: 500, code: "InternalFailure"}
	}}
	t.Setenv("AWS_ENDPOINT_URL", service.serve(t))
	if _, err := account.Open(ctx, account.Options{}); !errors.Is(err, stop) {
		t.Errorf("error = %v, want %v", err, stop)
	}
	if !slices.Equal(service.calls, []string{"GetCallerIdentity by AKIDENVIRONMENT"}) {
		t.Errorf("calls of STS = %q, want none after the interruption", service.calls)
	}
}
