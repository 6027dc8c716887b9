package function_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/shared/function"
	"github.com/userrequestapi/userdata/shared/logging"
)

func environment(change map[string]string) func(string) string {
	env := map[string]string{
		"SERVICE_NAME": "userdata", "STAGE": "prod", "AWS_REGION": "eu-central-1",
		"AWS_LAMBDA_FUNCTION_NAME": "userdata-get", "AWS_LAMBDA_FUNCTION_VERSION": "7",
	}
	maps.Copy(env, change)
	return func(name string) string { return env[name] }
}

func TestReadSettings(t *testing.T) {
	t.Parallel()
	with := func(change func(*function.Settings)) function.Settings {
		s := function.Settings{
			Service: "userdata", Stage: "prod", Region: "eu-central-1",
			Log: logging.Config{Service: "userdata", Function: "userdata-get", Version: "7"},
		}
		change(&s)
		return s
	}
	for name, test := range map[string]struct {
		env  map[string]string
		want function.Settings
	}{
		"defaults": {nil, with(func(*function.Settings) {})},
		"everything": {map[string]string{
			"TABLE_NAME": "my.Table_1-", "DYNAMODB_ENDPOINT": "http://127.0.0.1:8000",
			"LOG_LEVEL": "debug", "AWS_LAMBDA_LOG_LEVEL": "INFO",
			"REQUIRE_IF_MATCH": "true", "CORS_ALLOW_ORIGIN": "*",
			"POWERTOOLS_METRICS_NAMESPACE": "UserRequestAPI-dev",
		}, with(func(s *function.Settings) {
			s.Table, s.Endpoint, s.RequireIfMatch, s.AllowOrigin = "my.Table_1-", "http://127.0.0.1:8000", true, "*"
			s.Log.Level, s.Log.LambdaLevel = "debug", "INFO"
			s.MetricsNamespace = "UserRequestAPI-dev"
		})},
		"not required": {map[string]string{"REQUIRE_IF_MATCH": "false"}, with(func(*function.Settings) {})},
		"VPC endpoint": {
			map[string]string{"DYNAMODB_ENDPOINT": "https://vpce-1.example.org"},
			with(func(s *function.Settings) { s.Endpoint = "https://vpce-1.example.org" }),
		},
		"endpoint for all services": {
			map[string]string{"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"},
			with(func(s *function.Settings) { s.Endpoint = "http://127.0.0.1:4566" }),
		},
		"endpoint of the SDKs for DynamoDB": {
			map[string]string{
				"AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:8000", "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
				"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "False",
			},
			with(func(s *function.Settings) { s.Endpoint = "http://127.0.0.1:8000" }),
		},
		"DYNAMODB_ENDPOINT takes precedence": {
			map[string]string{
				"DYNAMODB_ENDPOINT": "http://127.0.0.1:8000", "AWS_ENDPOINT_URL_DYNAMODB": "x", "AWS_ENDPOINT_URL": "x",
			},
			with(func(s *function.Settings) { s.Endpoint = "http://127.0.0.1:8000" }),
		},
		"endpoints of the SDKs ignored": {
			map[string]string{
				"AWS_ENDPOINT_URL_DYNAMODB": "x", "AWS_ENDPOINT_URL": "x", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "TRUE",
			},
			with(func(*function.Settings) {}),
		},
		"DYNAMODB_ENDPOINT with those of the SDKs ignored": {
			map[string]string{"DYNAMODB_ENDPOINT": "http://127.0.0.1:8000", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
			with(func(s *function.Settings) { s.Endpoint = "http://127.0.0.1:8000" }),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := function.ReadSettings(environment(test.env))
			if err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestReadSettingsErrors(t *testing.T) {
	t.Parallel()
	for name, values := range map[string][]string{
		"SERVICE_NAME":      {""},
		"STAGE":             {""},
		"AWS_REGION":        {""},
		"TABLE_NAME":        {"ab", "a/b", "a b", strings.Repeat("x", 256)},
		"DYNAMODB_ENDPOINT": {"127.0.0.1:8000", "localhost", "ftp://127.0.0.1", "http://", "://", "http://%zz"},
		"AWS_ENDPOINT_URL":  {"127.0.0.1:4566"},
		"REQUIRE_IF_MATCH":  {"yes", "maybe"},

		"AWS_ENDPOINT_URL_DYNAMODB":           {"localhost:8000"},
		"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": {"1", "yes"},

		"POWERTOOLS_METRICS_NAMESPACE": {"User API", "AWS/Lambda", ":x", strings.Repeat("x", 256)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, value := range values {
				_, err := function.ReadSettings(environment(map[string]string{name: value}))
				if err == nil || !strings.Contains(err.Error(), name) {
					t.Errorf("%s=%s: got error %v, want one that names the variable", name, value, err)
				}
			}
		})
	}
	_, err := function.ReadSettings(func(name string) string {
		return map[string]string{"TABLE_NAME": "x", "DYNAMODB_ENDPOINT": "x", "REQUIRE_IF_MATCH": "x"}[name]
	})
	for _, name := range []string{
		"SERVICE_NAME", "STAGE", "AWS_REGION", "TABLE_NAME", "DYNAMODB_ENDPOINT", "REQUIRE_IF_MATCH",
	} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got error %v, want one that names %s", err, name)
		}
	}
}
