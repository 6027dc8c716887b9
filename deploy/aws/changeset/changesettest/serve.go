package changesettest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"testing"
)

// Endpoint serves an AWS account for a test and returns its URL. It closes the connection after each call.
func Endpoint(t *testing.T, account http.Handler) string {
	t.Helper()
	server := httptest.NewServer(account)
	server.Config.SetKeepAlivesEnabled(false)
	t.Cleanup(server.Close)
	return server.URL
}

// Environment returns the environment variables of a caller with credentials of [Account] in [Region]. They override
// the AWS settings of the machine.
func Environment() map[string]string {
	return map[string]string{
		"AWS_REGION":                  Region,
		"AWS_DEFAULT_REGION":          "",
		"AWS_PROFILE":                 "",
		"AWS_ACCESS_KEY_ID":           "key",
		"AWS_SECRET_ACCESS_KEY":       "secret",
		"AWS_SESSION_TOKEN":           "",
		"AWS_EC2_METADATA_DISABLED":   "true",
		"AWS_CONFIG_FILE":             os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	}
}

// Serve serves an AWS account for a test and sets the environment variables of its caller.
func Serve(t *testing.T, account http.Handler) {
	t.Helper()
	t.Setenv("AWS_ENDPOINT_URL", Endpoint(t, account))
	for name, value := range Environment() {
		t.Setenv(name, value)
	}
}

// WriteRole responds to iam:GetRole with a role that a service, such as apigateway.amazonaws.com, may assume.
func WriteRole(w http.ResponseWriter, name, service string) {
	trust := url.QueryEscape(fmt.Sprintf(`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", `+
		`"Principal": {"Service": %q}, "Action": "sts:AssumeRole"}]}`, service))
	w.Header().Set("Content-Type", "text/xml")
	_, _ = fmt.Fprintf(w, `<GetRoleResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><GetRoleResult><Role>`+
		`<Path>/</Path><RoleName>%[1]s</RoleName><RoleId>AROA</RoleId><Arn>arn:aws:iam::%[2]s:role/%[1]s</Arn>`+
		`<CreateDate>2026-01-01T00:00:00Z</CreateDate><AssumeRolePolicyDocument>%[3]s</AssumeRolePolicyDocument>`+
		`</Role></GetRoleResult></GetRoleResponse>`, name, Account, trust)
}

// WriteNoRole responds to iam:GetRole for a role that does not exist.
func WriteNoRole(w http.ResponseWriter, name string) {
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(http.StatusNotFound)
	_, _ = fmt.Fprintf(w, `<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type>`+
		`<Code>NoSuchEntity</Code><Message>The role with name %s cannot be found.</Message></Error></ErrorResponse>`, name)
}
