package stacktest

import (
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
)

// Endpoint serves an AWS account for a test and returns its URL. It closes a connection after each call, as the clients in tests
// keep none.
func Endpoint(t *testing.T, account http.Handler) string {
	t.Helper()
	server := httptest.NewServer(account)
	server.Config.SetKeepAlivesEnabled(false)
	t.Cleanup(server.Close)
	return server.URL
}

// Environment returns the environment variables of a caller with credentials of [Account] in [Region], whatever this machine has.
func Environment() map[string]string {
	return map[string]string{
		"AWS_REGION": Region, "AWS_DEFAULT_REGION": "", "AWS_PROFILE": "",
		"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
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
