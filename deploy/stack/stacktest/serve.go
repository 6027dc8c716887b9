package stacktest

import (
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
)

// Serve serves an account, of which a [CloudFormation] may be a part, until the test ends. The environment of the test leads the
// AWS SDK there, with credentials, and keeps the user's own settings from it.
func Serve(t *testing.T, account http.Handler) {
	t.Helper()
	server := httptest.NewServer(account)
	server.Config.SetKeepAlivesEnabled(false)
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_REGION": Region, "AWS_DEFAULT_REGION": "", "AWS_PROFILE": "",
		"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
}
