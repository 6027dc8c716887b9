package apigateway_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sigv4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/local/apigateway"
)

const (
	keyID   = "AKIAIOSFODNN7EXAMPLE"                     //nolint:gosec // the example of AWS's documentation
	secret  = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" //nolint:gosec // the example of AWS's documentation
	userID  = "AIDACKCEVSQ6C2EXAMPLE"
	userARN = "arn:aws:iam::123456789012:user/ada"
	poolARN = "arn:aws:cognito-idp:eu-west-1:123456789012:userpool/eu-west-1_Test"
	issuer  = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Test"
)

func sigV4() object {
	return object{"type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "awsSigv4"}
}

func userPool() object {
	return object{
		"type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "cognito_user_pools",
		"x-amazon-apigateway-authorizer": object{"type": "cognito_user_pools", "providerARNs": []string{poolARN}},
	}
}

func apiKey() object { return object{"type": "apiKey", "name": "x-api-key", "in": "header"} }

// protected returns an API whose methods require the security scheme, except for OPTIONS.
func protected(scheme object, more ...object) object {
	security := object{"security": []object{{"scheme": []string{}}}}
	item := func() object {
		return object{
			"x-amazon-apigateway-any-method": operation(proxy(), security, merge(object{}, more)),
			"options":                        operation(mock()),
		}
	}
	return document(object{"/": item(), "/{proxy+}": item()},
		object{"components": object{"securitySchemes": object{"scheme": scheme}}})
}

func withCredentials(c *apigateway.Config) {
	c.Credentials = map[string]apigateway.Credential{
		keyID: {SecretAccessKey: secret, AccountID: "123456789012", UserID: userID, UserARN: userARN},
	}
}

// signOptions configures the signature of a request.
type signOptions struct {
	keyID, secret   string
	service, region string
	at              time.Time
	payload         string // body to sign
	presigned       bool
}

// request returns a signed request to a path within the stage.
func (s *testServer) request(
	method, path, body string, header http.Header, change ...func(*signOptions),
) *http.Request {
	s.t.Helper()
	sign := signOptions{
		keyID: keyID, secret: secret, service: "execute-api", region: "eu-west-1", at: time.Now(), payload: body,
	}
	for _, f := range change {
		f(&sign)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	maps.Copy(r.Header, header)
	sum := sha256.Sum256([]byte(sign.payload))
	hash, credentials := hex.EncodeToString(sum[:]), aws.Credentials{AccessKeyID: sign.keyID, SecretAccessKey: sign.secret}
	if !sign.presigned {
		if err := sigv4.NewSigner().SignHTTP(s.t.Context(), credentials, r, hash, sign.service, sign.region, sign.at); err != nil {
			s.t.Fatal(err)
		}
		return r
	}
	address, _, err := sigv4.NewSigner().PresignHTTP(s.t.Context(), credentials, r, hash, sign.service, sign.region, sign.at)
	if err != nil {
		s.t.Fatal(err)
	}
	presigned, err := http.NewRequestWithContext(s.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	presigned.Header = r.Header
	return presigned
}

func (s *testServer) send(r *http.Request) reply {
	s.t.Helper()
	response, err := s.server.Client().Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	return s.read(response)
}

func presigned(s *signOptions) { s.presigned = true }

func TestSignatureV4(t *testing.T) {
	t.Parallel()
	s := serve(t, protected(sigV4()), respondWith(`{}`), withCredentials)
	jsonBody := http.Header{"Content-Type": {"application/json"}, "X-Custom": {"a  b ", "c"}, "If-Match": {`"1"`}}
	for name, r := range map[string]*http.Request{
		"GET":                                   s.request("GET", "/users", "", nil),
		"no path after the stage":               s.request("GET", "", "", nil),
		"trailing slash":                        s.request("GET", "/users/", "", nil),
		"query":                                 s.request("GET", "/users?b=2&a=1&a=0&limit=10&empty&cursor=a%2Fb%3D", "", nil),
		"leading slashes":                       s.request("GET", "//users", "", nil),
		"plus and space":                        s.request("GET", "/users?q=a+b%20c%2Bd", "", nil),
		"POST":                                  s.request("POST", "/users", `{"name":"é"}`, jsonBody),
		"DELETE":                                s.request("DELETE", "/users/1", "", nil),
		"tilde and dots":                        s.request("PUT", "/users/a~b.c_d-e", "{}", jsonBody),
		"percent-encoding":                      s.request("GET", "/users/a%7Eb%2Fc%20d%25é", "", nil),
		"lower-case escape":                     s.request("GET", "/users/%c3%a9", "", nil),
		"reserved characters":                   s.request("GET", "/users/a:b@c!$&'()*+,;=", "", nil),
		"four minutes in the past":              s.request("GET", "/users", "", nil, func(s *signOptions) { s.at = s.at.Add(-4 * time.Minute) }),
		"four minutes in the future":            s.request("GET", "/users", "", nil, func(s *signOptions) { s.at = s.at.Add(4 * time.Minute) }),
		"presigned":                             s.request("GET", "/users/a%7Eb?limit=1", "", nil, presigned),
		"presigned POST":                        s.request("POST", "/users", `{"a":1}`, jsonBody, presigned),
		"presigned, with a header in the query": s.request("GET", "/users", "", http.Header{"X-Amz-Own": {"1"}}, presigned),
		"presigned for an hour": s.request("GET", "/users?X-Amz-Expires=3600", "", nil, presigned,
			func(s *signOptions) { s.at = s.at.Add(-59 * time.Minute) }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := s.send(r); got.status != 200 {
				t.Errorf("got %d %s, want 200", got.status, got.body)
			}
			wantUserARN(t, s.record(), userARN)
		})
	}
}

// wantUserARN checks that the access log of a request names the user, and does not contain the secret access key.
func wantUserARN(t *testing.T, record apigateway.Record, want string) {
	t.Helper()
	if record.UserARN != want || strings.Contains(fmt.Sprint(record), secret) {
		t.Errorf("record = %+v, want the ARN %q and no secret", record, want)
	}
}

func TestSignatureV4Event(t *testing.T) {
	t.Parallel()
	function := &recorder{}
	s := serve(t, protected(sigV4()), function, withCredentials)
	if got := s.send(s.request("GET", "/users", "", nil)); got.status != 200 {
		t.Fatalf("got %d %s, want 200", got.status, got.body)
	}
	wantUserARN(t, s.record(), userARN)
	event := function.event(t)
	identity := event["requestContext"].(object)["identity"].(object)
	want := merge(anonymousIdentity(identity["userAgent"]), []object{{
		"accessKey": keyID, "accountId": "123456789012", "caller": userID, "user": userID, "userArn": userARN,
	}})
	if diff := cmp.Diff(want, identity); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	if _, ok := event["headers"].(object)["Authorization"]; ok {
		t.Error("the function received the signature")
	}
	if _, ok := event["requestContext"].(object)["authorizer"]; ok {
		t.Error("the event has an authorizer")
	}
	if got := s.do("OPTIONS", "/users", ""); got.status != 200 {
		t.Errorf("OPTIONS: got status %d, want 200", got.status)
	}
	wantUserARN(t, s.record(), "")
}

func TestSignatureV4Errors(t *testing.T) {
	t.Parallel()
	const (
		mismatch = "The request signature we calculated does not match the signature you provided. " +
			"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.\n\n" +
			"The Canonical String for this request should have been\n'"
		missing, incomplete, invalid, client = "MissingAuthenticationTokenException", "IncompleteSignatureException",
			"InvalidSignatureException", "UnrecognizedClientException"
		unknown = "The security token included in the request is invalid"
	)
	function := &recorder{}
	s := serve(t, protected(sigV4()), function, withCredentials)
	header := http.Header{"Content-Type": {"application/json"}}
	post := func(change ...func(*signOptions)) *http.Request {
		return s.request("POST", "/users?a=1", `{"a":1}`, header, change...)
	}
	get := func(change ...func(*signOptions)) *http.Request {
		return s.request("GET", "/users/1?a=1", "", nil, change...)
	}
	// tampered changes a request after it was signed.
	tampered := func(r *http.Request, change func(*http.Request)) *http.Request {
		change(r)
		return r
	}
	authorization := func(old, replacement string) *http.Request {
		return tampered(get(), func(r *http.Request) {
			before := r.Header.Get("Authorization")
			after := strings.Replace(before, old, replacement, 1)
			if before == after {
				t.Fatalf("Authorization = %q, want one that contains %q", before, old)
			}
			r.Header.Set("Authorization", after)
		})
	}
	query := func(raw string) func(*http.Request) { return func(r *http.Request) { r.URL.RawQuery = raw } }
	value := func(header string) string {
		sum := sha256.Sum256([]byte(header))
		return base64.StdEncoding.EncodeToString(sum[:])
	}
	today := time.Now().UTC().Format("20060102")
	type testCase struct {
		request   *http.Request
		errorType string
		message   string // prefix
	}
	tests := map[string]testCase{
		"method": {tampered(get(), func(r *http.Request) { r.Method = "DELETE" }), invalid, mismatch + "DELETE\n/prod/users/1\n"},
		"path":   {tampered(get(), func(r *http.Request) { r.URL.Path += "2" }), invalid, mismatch + "GET\n/prod/users/12\na=1\n"},
		"path in another encoding": {tampered(get(), func(r *http.Request) { r.URL.RawPath = "/prod/users/%31" }), invalid,
			mismatch + "GET\n/prod/users/%2531\n"},
		"stage slash":           {tampered(get(), func(r *http.Request) { r.URL.Path += "/" }), invalid, mismatch},
		"query value":           {tampered(get(), query("a=2")), invalid, mismatch},
		"query added":           {tampered(get(), query("a=1&b=2")), invalid, mismatch},
		"query removed":         {tampered(get(), query("")), invalid, mismatch},
		"query, malformed":      {tampered(get(), query("a=1&x;userId=2")), invalid, mismatch},
		"query, bad escape":     {tampered(get(), query("a=1&userId=%zz")), invalid, mismatch},
		"presigned query":       {tampered(get(presigned), func(r *http.Request) { r.URL.RawQuery += "&b=2" }), invalid, mismatch},
		"presigned, malformed":  {tampered(get(presigned), func(r *http.Request) { r.URL.RawQuery += "&x;b=2" }), invalid, mismatch},
		"presigned path":        {tampered(get(presigned), func(r *http.Request) { r.URL.Path += "2" }), invalid, mismatch},
		"presigned host":        {tampered(get(presigned), func(r *http.Request) { r.Host = "example.com" }), invalid, mismatch},
		"host":                  {tampered(get(), func(r *http.Request) { r.Host = "example.com" }), invalid, mismatch},
		"signed header":         {tampered(post(), func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }), invalid, mismatch},
		"signed header removed": {tampered(post(), func(r *http.Request) { r.Header.Del("Content-Type") }), invalid, mismatch},
		"signed header twice":   {tampered(post(), func(r *http.Request) { r.Header.Add("Content-Type", "text/plain") }), invalid, mismatch},
		"body":                  {post(func(s *signOptions) { s.payload = `{"a":2}` }), invalid, mismatch},
		"unsigned payload": {tampered(post(func(s *signOptions) { s.payload = "" }),
			func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") }), invalid, mismatch},
		"time": {tampered(get(), func(r *http.Request) {
			r.Header.Set("X-Amz-Date", time.Now().UTC().Add(-time.Minute).Format("20060102T150405Z"))
		}), invalid, mismatch},
		"secret":        {get(func(s *signOptions) { s.secret = "wrong" }), invalid, mismatch},
		"signature":     {authorization("Signature=", "Signature=0"), invalid, mismatch},
		"fewer headers": {authorization("host;x-amz-date", "host"), invalid, mismatch},
		"presigned headers": {tampered(get(presigned), func(r *http.Request) {
			r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "SignedHeaders=host", "SignedHeaders=host%3Bx-a", 1)
		}), invalid, mismatch},
		"unsorted headers":   {authorization("host;x-amz-date", "x-amz-date;host"), invalid, mismatch},
		"additional header":  {authorization("host;", "accept-encoding;host;"), invalid, mismatch},
		"access key":         {get(func(s *signOptions) { s.keyID = "AKIAI44QH8DHBEXAMPLE" }), client, unknown + "."},
		"security token":     {tampered(get(), func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "t") }), client, unknown},
		"region":             {get(func(s *signOptions) { s.region = "us-east-1" }), invalid, "Credential should be scoped to a valid region, not 'us-east-1'. "},
		"service":            {get(func(s *signOptions) { s.service = "s3" }), invalid, "Credential should be scoped to correct service: 'execute-api'. "},
		"region and service": {get(func(s *signOptions) { s.region, s.service = "a", "b" }), invalid, "Credential should be scoped to a valid region, not 'a'. Credential should be scoped to correct service: 'execute-api'. "},
		"terminator":         {authorization("aws4_request", "aws5_request"), invalid, "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'. "},
		"date of the scope":  {authorization("/"+today+"/", "/20200101/"), invalid, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20200101' != '" + today + "', from '" + today},
		"scope":              {authorization("/execute-api", ""), incomplete, "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '" + keyID},
		"algorithm":          {authorization("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), incomplete, "Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256' (only AWS4-HMAC-SHA256 for now). "},
		"host not signed":    {authorization("host;", ""), invalid, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."},
		"expired":            {get(func(s *signOptions) { s.at = s.at.Add(-6 * time.Minute) }), invalid, "Signature expired: " + today[:4]},
		"not yet valid":      {get(func(s *signOptions) { s.at = s.at.Add(6 * time.Minute) }), invalid, "Signature not yet current: " + today[:4]},
		"malformed date":     {tampered(get(), func(r *http.Request) { r.Header.Set("X-Amz-Date", "now") }), incomplete, "Date must be in ISO-8601 'basic format'. Got 'now'. See http://en.wikipedia.org/wiki/ISO_8601"},
		"no date":            {tampered(get(), func(r *http.Request) { r.Header.Del("X-Amz-Date") }), incomplete, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. (Hashed with SHA-256 and encoded with Base64) Authorization="},
		"unsigned":           {tampered(get(), func(r *http.Request) { r.Header.Del("Authorization") }), missing, "Missing Authentication Token"},
		"bearer token": {tampered(get(), func(r *http.Request) { r.Header.Set("Authorization", "Bearer abc") }), incomplete,
			"Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 and encoded with Base64): '" + value("Bearer abc") + "'."},
		"basic authentication": {tampered(get(), func(r *http.Request) {
			r.Header = http.Header{"Authorization": {"Basic YWRhOnNlY3JldA=="}}
		}), incomplete,
			"Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. " +
				"Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. (Hashed with SHA-256 and encoded with Base64) Authorization=" + value("Basic YWRhOnNlY3JldA==")},
		"header and query": {tampered(get(presigned), func(r *http.Request) { r.Header.Set("Authorization", "x") }), invalid, "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."},
		"date in header and query": {
			tampered(get(presigned), func(r *http.Request) { r.Header.Set("X-Amz-Date", "20260101T000000Z") }),
			invalid, "Found 'X-Amz-Date' both as a query-string param and as HTTP header.",
		},
		"incomplete query": {tampered(get(), func(r *http.Request) {
			r.Header.Del("Authorization")
			r.URL.RawQuery = "X-Amz-Algorithm=AWS4-HMAC-SHA256"
		}), incomplete, "AWS query-string parameters must include 'X-Amz-Credential'. AWS query-string parameters must include 'X-Amz-Signature'. AWS query-string parameters must include 'X-Amz-SignedHeaders'. AWS query-string parameters must include 'X-Amz-Date'. Re-examine the query-string parameters."},
		"signature in the query": {tampered(get(), query("a=1&X-Amz-Signature=x")), invalid, mismatch},
		"presigned and expired": {s.request("GET", "/users?X-Amz-Expires=60", "", nil, presigned,
			func(s *signOptions) { s.at = s.at.Add(-2 * time.Minute) }), invalid, "Signature expired: "},
		"presigned for a month": {s.request("GET", "/users?X-Amz-Expires=2592000", "", nil, presigned), incomplete, "X-Amz-Expires must be a number of seconds"},
	}
	for _, name := range []string{
		"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-Security-Token", "X-Amz-Signature", "X-Amz-SignedHeaders",
	} {
		twice := tampered(get(presigned), func(r *http.Request) {
			given := r.URL.Query()
			if !given.Has(name) {
				given.Add(name, "60")
			}
			given.Add(name, given.Get(name))
			r.URL.RawQuery = given.Encode()
		})
		tests["presigned, repeated "+name] = testCase{
			twice, incomplete, "AWS query-string parameters must include '" + name + "' only once.",
		}
	}
	for _, name := range []string{"Authorization", "X-Amz-Date", "X-Amz-Security-Token"} {
		for which, request := range map[string]*http.Request{"": get(), ", presigned": get(presigned)} {
			twice := tampered(request, func(r *http.Request) {
				if r.Header.Get(name) == "" {
					r.Header.Add(name, "first")
				}
				r.Header.Add(name, r.Header.Get(name))
			})
			tests["repeated header "+name+which] = testCase{
				twice, incomplete, "The header '" + name + "' must appear only once.",
			}
		}
	}
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		tests["repeated parameter "+name] = testCase{
			authorization(name+"=", name+"=x, "+name+"="), incomplete,
			"Authorization header requires '" + name + "' parameter only once. ",
		}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := s.send(test.request)
			var body struct{ Message string }
			if err := json.Unmarshal([]byte(got.body), &body); err != nil || !strings.HasPrefix(body.Message, test.message) {
				t.Errorf("message = %q, want the prefix %q", body.Message, test.message)
			}
			got.wantError(t, 403, test.errorType, body.Message)
			if strings.HasPrefix(test.message, mismatch) && !strings.Contains(body.Message,
				"'\n\nThe String-to-Sign should have been\n'AWS4-HMAC-SHA256\n"+today) {
				t.Errorf("message = %q, want one with the string to sign", body.Message)
			}
		})
	}
	t.Cleanup(func() {
		if function.payload != nil {
			t.Error("the function was invoked")
		}
		types := map[string]int{}
		for range tests {
			types[s.record().ErrorType]++
		}
		if want := map[string]int{"MISSING_AUTHENTICATION_TOKEN": 1, "INVALID_SIGNATURE": len(tests) - 1}; !cmp.Equal(want, types) {
			t.Errorf("response types = %v, want %v", types, want)
		}
	})
}

func TestSignatureV4Curl(t *testing.T) {
	t.Parallel()
	if help, err := exec.Command("curl", "--help", "all").Output(); err != nil || !bytes.Contains(help, []byte("--aws-sigv4")) {
		t.Skip("curl with --aws-sigv4 is not installed")
	}
	s := serve(t, protected(sigV4()), respondWith(`{"body":"hello"}`), withCredentials)
	for name, arguments := range map[string][]string{
		"GET":    {s.url + "/users/a~b.c_d-e"},
		"query":  {s.url + "/users?limit=10"},
		"POST":   {"-X", "POST", s.url + "/users", "-H", "Content-Type: application/json", "-d", `{"name": "Grace Hopper"}`},
		"DELETE": {"-X", "DELETE", s.url + "/users/1", "-H", `If-Match: "1"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for password, want := range map[string]string{secret: "hello200", "wrong": "403"} {
				curl := exec.Command("curl", append([]string{
					"-sS", "--aws-sigv4", "aws:amz:eu-west-1:execute-api", "--user", keyID + ":" + password, "-w", "%{http_code}",
				}, arguments...)...)
				if out, err := curl.CombinedOutput(); err != nil || !strings.HasSuffix(string(out), want) {
					t.Errorf("password %s: got %s, error %v, want %s", password, out, err, want)
				}
			}
		})
	}
}

func TestAPIKey(t *testing.T) {
	t.Parallel()
	withKeys := func(c *apigateway.Config) {
		c.APIKeys = []apigateway.APIKey{{"key1", "first-value"}, {"key2", "second-value"}, {"empty", ""}}
	}
	for name, headers := range map[string][]string{
		"none":           nil,
		"empty":          {"X-Api-Key", ""},
		"shorter":        {"X-Api-Key", "first-valu"},
		"longer":         {"X-Api-Key", "first-value2"},
		"id of a key":    {"X-Api-Key", "key1"},
		"another header": {"Authorization", "first-value"},
		"two keys":       {"X-Api-Key", "first-value", "X-Api-Key", "second-value"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			function := &recorder{}
			s := serve(t, protected(apiKey()), function, withKeys)
			s.do("GET", "/users", "", headers...).wantError(t, 403, "ForbiddenException", "Forbidden")
			if record := s.record(); record.ErrorType != "INVALID_API_KEY" || record.APIKeyID != "" {
				t.Errorf("record = %+v, want the response type INVALID_API_KEY and no key", record)
			}
			if function.payload != nil {
				t.Error("the function was invoked")
			}
		})
	}
	function := &recorder{}
	s := serve(t, protected(apiKey()), function, withKeys)
	if got := s.do("GET", "/users", "", "x-api-key", "second-value", "User-Agent", "test"); got.status != 200 {
		t.Errorf("with the second key: %d %s, want 200", got.status, got.body)
	}
	want := merge(anonymousIdentity("test"), []object{{"apiKey": "second-value", "apiKeyId": "key2"}})
	if diff := cmp.Diff(want, function.event(t)["requestContext"].(object)["identity"]); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	if record := s.record(); record.APIKeyID != "key2" || strings.Contains(fmt.Sprint(record), "second-value") {
		t.Errorf("record = %+v, want the id key2 and not the key's value", record)
	}
	if got := s.do("OPTIONS", "/users", ""); got.status != 200 {
		t.Errorf("OPTIONS: got status %d, want 200", got.status)
	}
}

// newKey generates a key of a user pool.
func newKey(t *testing.T, id string) jose.JSONWebKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: key, KeyID: id, Algorithm: string(jose.RS256), Use: "sig"}
}

func token(t *testing.T, algorithm jose.SignatureAlgorithm, key any, claims object) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestUserPool(t *testing.T) {
	t.Parallel()
	key, other := newKey(t, "first"), newKey(t, "second")
	keys := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public(), other.Public()}}
	function := &recorder{}
	s := serve(t, protected(userPool()), function, func(c *apigateway.Config) {
		c.UserPools = map[string]apigateway.UserPool{poolARN: {Issuer: issuer, Keys: keys}}
	})
	now := time.Now()
	claims := func(more ...object) object {
		return merge(object{
			"sub": "5be1", "iss": issuer, "token_use": "id", "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "auth_time": now.Unix(),
			"aud": "client", "email_verified": true, "cognito:groups": []string{"admin", "users"}, "custom:n": json.Number("12345678901234567890"),
			"identities": []object{{"userId": "1"}},
		}, more)
	}
	sign := func(key any, claims object) string { return token(t, jose.RS256, key, claims) }
	without := func(name string) object {
		c := claims()
		delete(c, name)
		return c
	}
	good := sign(key, claims())

	t.Run("accepted", func(t *testing.T) {
		for _, header := range []string{good, "Bearer " + good, sign(other, claims())} {
			if got := s.do("GET", "/users", "", "Authorization", header); got.status != 200 {
				t.Errorf("%d %s", got.status, got.body)
			}
		}
		event := function.event(t)
		date := func(at time.Time) string { return at.UTC().Format("Mon Jan 02 15:04:05 UTC 2006") }
		want := object{"claims": object{
			"sub": "5be1", "iss": issuer, "token_use": "id", "exp": date(now.Add(time.Hour)), "iat": date(now),
			"auth_time": strconv.FormatInt(now.Unix(), 10), "aud": "client", "email_verified": "true", "cognito:groups": "admin,users",
			"custom:n": "12345678901234567890", "identities": `{"userId":"1"}`,
		}}
		if diff := cmp.Diff(want, event["requestContext"].(object)["authorizer"]); diff != "" {
			t.Errorf("authorizer (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(anonymousIdentity("Go-http-client/1.1"), event["requestContext"].(object)["identity"]); diff != "" {
			t.Errorf("identity (-want +got):\n%s", diff)
		}
		if _, ok := event["headers"].(object)["Authorization"]; !ok {
			t.Error("the function did not receive the token")
		}
	})

	stranger := newKey(t, "first")
	public, err := x509.MarshalPKIXPublicKey(key.Public().Key)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	rest := "." + parts[1] + "."
	for name, test := range map[string]struct{ header, message string }{
		"no header":            {"", "Unauthorized"},
		"no token":             {"Bearer", "Unauthorized"},
		"repeated scheme":      {"Bearer " + "Bearer " + good, "Unauthorized"},
		"other pool's key":     {sign(stranger, claims()), "Unauthorized"},
		"unknown key id":       {sign(newKey(t, "third"), claims()), "Unauthorized"},
		"no key id":            {sign(key.Key, claims()), "Unauthorized"},
		"no algorithm":         {encode(`{"alg":"none","kid":"first"}`) + rest, "Unauthorized"},
		"HMAC with public key": {token(t, jose.HS256, jose.JSONWebKey{Key: public, KeyID: "first"}, claims()), "Unauthorized"},
		"PS256":                {token(t, jose.PS256, jose.JSONWebKey{Key: key.Key, KeyID: "first"}, claims()), "Unauthorized"},
		"other claims":         {parts[0] + "." + encode(`{"sub":"eve"}`) + "." + parts[2], "Unauthorized"},
		"no signature":         {parts[0] + "." + parts[1] + ".", "Unauthorized"},
		"expired":              {sign(key, claims(object{"exp": now.Unix() - 1})), "The incoming token has expired"},
		"expired, other key":   {sign(stranger, claims(object{"exp": now.Unix() - 1})), "Unauthorized"},
		"no expiration":        {sign(key, without("exp")), "Unauthorized"},
		"not yet valid":        {sign(key, claims(object{"nbf": now.Unix() + 3600})), "Unauthorized"},
		"issued in the future": {sign(key, claims(object{"iat": now.Unix() + 86400})), "Unauthorized"},
		"other issuer":         {sign(key, claims(object{"iss": issuer + "2"})), "Unauthorized"},
		"no issuer":            {sign(key, without("iss")), "Unauthorized"},
		"access token":         {sign(key, claims(object{"token_use": "access"})), "Unauthorized"},
		"no token_use":         {sign(key, without("token_use")), "Unauthorized"},
		"signature V4":         {"AWS4-HMAC-SHA256 Credential=a", "Unauthorized"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var headers []string
			if test.header != "" {
				headers = []string{"Authorization", test.header}
			}
			s.do("GET", "/users", "", headers...).wantError(t, 401, "UnauthorizedException", test.message)
		})
	}
	repeated := s.do("GET", "/users", "", "Authorization", good, "Authorization", good)
	repeated.wantError(t, 401, "UnauthorizedException", "Unauthorized")
	if got := s.do("OPTIONS", "/users", ""); got.status != 200 {
		t.Errorf("OPTIONS: %d", got.status)
	}
}

// The order is authorization, throttle, validation.
func TestAuthorizationOrder(t *testing.T) {
	t.Parallel()
	doc := merge(protected(apiKey(), object{
		"parameters": []object{{"name": "id", "in": "query", "required": true}},
	}), []object{validated()})
	s := serve(t, doc, respondWith(`{}`), func(c *apigateway.Config) {
		c.APIKeys = []apigateway.APIKey{{"key1", "value"}}
		c.Throttle = apigateway.Throttle{Rate: 1e-9, Burst: 1} // no refill during the test
	})
	for range 2 {
		s.do("GET", "/", "").wantError(t, 403, "ForbiddenException", "Forbidden")
	}
	s.do("GET", "/", "", "X-Api-Key", "value").
		wantError(t, 400, "BadRequestException", "Missing required request parameters: [id]")
	s.do("GET", "/", "", "X-Api-Key", "value").wantError(t, 429, "TooManyRequestsException", "Too Many Requests")
	s.do("GET", "/", "").wantError(t, 403, "ForbiddenException", "Forbidden")
}

func TestSecurityErrors(t *testing.T) {
	t.Parallel()
	with := func(scheme object, key string, value any) object { return merge(scheme, []object{{key: value}}) }
	secured := func(security []object) object {
		return document(object{"/users": object{"get": operation(proxy(), object{"security": security})}}, object{
			"components": object{"securitySchemes": object{"iam": sigV4(), "key": apiKey(), "pool": userPool()}},
		})
	}
	for name, test := range map[string]struct {
		document object
		want     string
	}{
		"two requirements": {secured([]object{{"iam": []string{}}, {"key": []string{}}}), "GET /users: security: several schemes"},
		"two schemes":      {secured([]object{{"iam": []string{}, "key": []string{}}}), "GET /users: security: several schemes"},
		"scopes":           {secured([]object{{"pool": []string{"users/read"}}}), "GET /users: security scheme pool: scopes users/read are not supported"},
		"unknown scheme":   {secured([]object{{"none": []string{}}}), "GET /users: security scheme none: not found in components.securitySchemes"},
		"unknown pool":     {secured([]object{{"pool": []string{}}}), "GET /users: security scheme pool: user pool " + poolARN + " is not configured"},
		"OAuth":            {protected(object{"type": "oauth2"}), "security scheme scheme: type oauth2"},
		"key in the query": {protected(with(apiKey(), "in", "query")), `type apiKey in "query" is not supported`},
		"other key":        {protected(with(apiKey(), "name", "x-key")), "want an API key with the name x-api-key"},
		"other header":     {protected(with(sigV4(), "name", "x-signature")), "awsSigv4: want the name Authorization"},
		"custom":           {protected(with(sigV4(), "x-amazon-apigateway-authtype", "custom")), "authtype custom is not supported"},
		"token authorizer": {protected(with(userPool(), "x-amazon-apigateway-authorizer", object{"type": "token"})), "want the type cognito_user_pools and providerARNs"},
		"no authorizer":    {protected(with(userPool(), "x-amazon-apigateway-authorizer", object{})), "want the type cognito_user_pools and providerARNs"},
		"unknown authorizer key": {protected(with(userPool(), "x-amazon-apigateway-authorizer", object{
			"type": "cognito_user_pools", "providerARNs": []string{poolARN}, "identityValidationExpression": ".",
		})), `json: unknown field "identityValidationExpression"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := newGateway(test.document); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error = %v, want one that contains %q", err, test.want)
			}
		})
	}
}
