// Package command formats the commands that messages suggest. A suggested command includes every setting that selects
// the stage, the account and the Region, so that it can be pasted.
package command

import (
	"regexp"
	"slices"
	"strings"
)

// Line formats commands for one stage. The zero value formats commands for the default stage, account and Region.
type Line struct {
	Stage     string   // value of STAGE; "" omits it
	InvokeURL string   // value of INVOKE_URL; "" omits it
	AWS       []string // variables that select the account, the Region and the endpoints, each NAME=value
	Region    string   // Region for the AWS CLI, which does not read the stage's file; used if AWS sets none
}

const (
	profile       = "AWS_PROFILE"
	region        = "AWS_REGION"
	defaultRegion = "AWS_DEFAULT_REGION"
)

// Services returns the IDs of the AWS services that the targets call.
func Services() []string {
	return []string{
		"API Gateway", "CloudFormation", "CloudWatch", "CloudWatch Logs", "DynamoDB", "IAM", "Lambda", "S3", "STS", "XRay",
	}
}

// New returns a Line with the settings in the environment. It never includes credentials.
func New(getenv func(string) string) Line {
	line := Line{Stage: getenv("STAGE"), InvokeURL: getenv("INVOKE_URL")}
	variables := [][]string{ // the AWS SDK reads the first of each list that is set
		{profile, "AWS_DEFAULT_PROFILE"},
		{region, defaultRegion},
		{"AWS_CONFIG_FILE"},
		{"AWS_SHARED_CREDENTIALS_FILE"},
		{"AWS_ENDPOINT_URL"},
		{"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"},
		{"AWS_CA_BUNDLE"},
	}
	for _, service := range Services() {
		name := strings.ToUpper(strings.ReplaceAll(service, " ", "_"))
		variables = append(variables, []string{"AWS_ENDPOINT_URL_" + name})
	}
	for _, names := range variables {
		for _, name := range names {
			if value := getenv(name); value != "" {
				line.AWS = append(line.AWS, name+"="+value)
				break
			}
		}
	}
	return line
}

// Mage returns the command for a mage target. settings, each NAME=value, apply to this command only.
func (l Line) Mage(target string, settings ...string) string {
	all := slices.Clone(settings)
	if l.Stage != "" {
		all = append(all, "STAGE="+l.Stage)
	}
	all = append(all, l.AWS...)
	if l.InvokeURL != "" {
		all = append(all, "INVOKE_URL="+l.InvokeURL)
	}
	return join(all, "go tool mage "+target)
}

// CLI returns an AWS CLI command; arguments follow "aws". Its option --profile takes precedence over AWS_PROFILE.
func (l Line) CLI(arguments string) string {
	nameOf := func(setting string) string { name, _, _ := strings.Cut(setting, "="); return name }
	all := slices.Clone(l.AWS)
	if strings.Contains(arguments, "--profile ") {
		all = slices.DeleteFunc(all, func(setting string) bool { return nameOf(setting) == profile })
	}
	given := slices.ContainsFunc(all, func(setting string) bool {
		return nameOf(setting) == region || nameOf(setting) == defaultRegion
	})
	if l.Region != "" && !given {
		all = append(all, region+"="+l.Region)
	}
	return join(all, "aws "+arguments)
}

func join(settings []string, command string) string {
	var b strings.Builder
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, "=")
		b.WriteString(name + "=" + Quote(value) + " ")
	}
	return b.String() + command
}

var plain = regexp.MustCompile(`^[\w@%+=:,./-]+$`)

// Quote quotes value for a POSIX shell, if necessary.
func Quote(value string) string {
	if plain.MatchString(value) {
		return value
	}
	return SingleQuote(value)
}

// SingleQuote puts value in single quotes for a POSIX shell.
func SingleQuote(value string) string { return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'" }
