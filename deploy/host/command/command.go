// Package command writes the commands that messages ask a person to run. A pasted command must do what the message
// says, so it includes every setting that selects the stage, the account and the Region.
package command

import (
	"regexp"
	"slices"
	"strings"
)

// Line writes commands for one stage. The zero value writes commands for the default stage, account and Region.
type Line struct {
	Stage     string   // value of STAGE; empty: omitted
	InvokeURL string   // value of INVOKE_URL; empty: omitted
	AWS       []string // the variables that select the account, the Region and the endpoints, each NAME=value
	Region    string   // which the AWS CLI is given if AWS has none: it does not read the stage's file
}

const (
	profile       = "AWS_PROFILE"
	region        = "AWS_REGION"
	defaultRegion = "AWS_DEFAULT_REGION"
)

// services returns the services that the targets call, as the variables for their endpoints name them.
func services() []string {
	return []string{
		"API_GATEWAY", "CLOUDFORMATION", "CLOUDWATCH", "CLOUDWATCH_LOGS", "DYNAMODB", "IAM", "LAMBDA", "S3", "STS", "XRAY",
	}
}

// New returns a Line with the settings that getenv returns. Credentials are never part of it.
func New(getenv func(string) string) Line {
	line := Line{Stage: getenv("STAGE"), InvokeURL: getenv("INVOKE_URL")}
	variables := [][]string{ // of each list, the AWS SDK reads the first that is set
		{profile, "AWS_DEFAULT_PROFILE"},
		{region, defaultRegion},
		{"AWS_CONFIG_FILE"},
		{"AWS_SHARED_CREDENTIALS_FILE"},
		{"AWS_ENDPOINT_URL"},
		{"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"},
		{"AWS_CA_BUNDLE"},
	}
	for _, service := range services() {
		variables = append(variables, []string{"AWS_ENDPOINT_URL_" + service})
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

// Mage returns the command for a target of mage. settings, each NAME=value, apply to this command only.
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

// CLI returns a command of the AWS CLI, given what follows "aws". The option --profile in it takes precedence over
// AWS_PROFILE.
func (l Line) CLI(arguments string) string {
	sets := func(setting string) string { name, _, _ := strings.Cut(setting, "="); return name }
	all := slices.Clone(l.AWS)
	if strings.Contains(arguments, "--profile ") {
		all = slices.DeleteFunc(all, func(setting string) bool { return sets(setting) == profile })
	}
	given := slices.ContainsFunc(
		all,
		func(setting string) bool { return sets(setting) == region || sets(setting) == defaultRegion },
	)
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

// Quote returns a value as a POSIX shell reads it back.
func Quote(value string) string {
	if plain.MatchString(value) {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}
