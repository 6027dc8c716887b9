package command_test

import (
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/host/command"
)

func line(variables map[string]string) command.Line {
	return command.New(func(name string) string { return variables[name] })
}

func TestLine(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		variables map[string]string
		settings  []string
		mage, cli string
	}{
		{"nothing set", nil, nil, "go tool mage deploy", "aws login"},
		{
			"everything set",
			map[string]string{
				"STAGE":                       "dev",
				"AWS_PROFILE":                 "me",
				"AWS_REGION":                  "eu-west-1",
				"AWS_DEFAULT_REGION":          "us-east-1",
				"AWS_CONFIG_FILE":             "/a/b",
				"AWS_SHARED_CREDENTIALS_FILE": "/a/c",
				"AWS_ENDPOINT_URL":            "http://127.0.0.1:1",
				"AWS_CA_BUNDLE":               "/a/d",
				"INVOKE_URL":                  "http://127.0.0.1:1/{ApiId}",
			},
			[]string{"AT_ONCE=1"},
			"AT_ONCE=1 STAGE=dev AWS_PROFILE=me AWS_REGION=eu-west-1 AWS_CONFIG_FILE=/a/b AWS_SHARED_CREDENTIALS_FILE=/a/c " +
				"AWS_ENDPOINT_URL=http://127.0.0.1:1 AWS_CA_BUNDLE=/a/d INVOKE_URL='http://127.0.0.1:1/{ApiId}' go tool mage deploy",
			"AWS_PROFILE=me AWS_REGION=eu-west-1 AWS_CONFIG_FILE=/a/b AWS_SHARED_CREDENTIALS_FILE=/a/c " +
				"AWS_ENDPOINT_URL=http://127.0.0.1:1 AWS_CA_BUNDLE=/a/d aws login",
		},
		{
			"variable names of AWS CLI version 1",
			map[string]string{"AWS_DEFAULT_PROFILE": "me", "AWS_DEFAULT_REGION": "us-east-1"},
			nil,
			"AWS_DEFAULT_PROFILE=me AWS_DEFAULT_REGION=us-east-1 go tool mage deploy",
			"AWS_DEFAULT_PROFILE=me AWS_DEFAULT_REGION=us-east-1 aws login",
		},
		{
			"endpoints of single services",
			map[string]string{
				"AWS_ENDPOINT_URL_CLOUDWATCH_LOGS":    "http://127.0.0.1:2",
				"AWS_ENDPOINT_URL_S3":                 "http://127.0.0.1:1",
				"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
			},
			nil,
			"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=false AWS_ENDPOINT_URL_CLOUDWATCH_LOGS=http://127.0.0.1:2 " +
				"AWS_ENDPOINT_URL_S3=http://127.0.0.1:1 go tool mage deploy",
			"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=false AWS_ENDPOINT_URL_CLOUDWATCH_LOGS=http://127.0.0.1:2 " +
				"AWS_ENDPOINT_URL_S3=http://127.0.0.1:1 aws login",
		},
		{
			"secrets",
			map[string]string{"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t", "TOKEN": "u"},
			nil,
			"go tool mage deploy",
			"aws login",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := line(tt.variables)
			if diff := cmp.Diff(tt.mage, l.Mage("deploy", tt.settings...)); diff != "" {
				t.Errorf("Mage (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.cli, l.CLI("login")); diff != "" {
				t.Errorf("CLI (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("Region without a variable", func(t *testing.T) {
		t.Parallel()
		for given, want := range map[string]string{"": "AWS_REGION=eu-west-1 aws login", "us-east-1": "AWS_REGION=us-east-1 aws login"} {
			l := line(map[string]string{"AWS_REGION": given})
			l.Region = "eu-west-1"
			if got := l.CLI("login"); got != want {
				t.Errorf("CLI = %q, want %q", got, want)
			}
		}
	})
	t.Run("option --profile", func(t *testing.T) {
		t.Parallel()
		l := line(map[string]string{"AWS_PROFILE": "me", "AWS_REGION": "eu-west-1"})
		want := "AWS_REGION=eu-west-1 aws sso login --profile other"
		if got := l.CLI("sso login --profile other"); got != want {
			t.Errorf("CLI = %q, want %q", got, want)
		}
	})
}

func TestQuote(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"plain-1.2_x:/@", "two words", "it's", `a"b`, "$HOME", "a;b", "*", "\\", "{a}", "a\nb"} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			output, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+command.Quote(value)).Output()
			if err != nil {
				t.Fatal(err)
			}
			if got := string(output); got != value {
				t.Errorf("the shell reads %s as %q, want %q", command.Quote(value), got, value)
			}
		})
	}
	if got, want := command.Quote(""), "''"; got != want {
		t.Errorf("Quote of an empty string = %s, want %s", got, want)
	}
}
