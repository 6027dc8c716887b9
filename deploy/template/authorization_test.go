package template_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/template"
)

const userPool = "arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_AbCdEfGhI"

// authorizations are parameters for each way to authorize.
func authorizations() map[string]map[string]string {
	return map[string]map[string]string{
		template.AuthorizationIAM:     nil,
		template.AuthorizationCognito: {"Authorization": template.AuthorizationCognito, "UserPoolArn": userPool},
		template.AuthorizationAPIKey:  {"Authorization": template.AuthorizationAPIKey},
		template.AuthorizationNone:    {"Authorization": template.AuthorizationNone},
	}
}

// TestAuthorization sees that every operation of the contract asks for what the stage is to ask for, and that what the gateway
// answers itself is open: a browser sends no credentials with a preflight.
func TestAuthorization(t *testing.T) {
	t.Parallel()
	for authorization, scheme := range map[string]struct {
		name       string
		definition object
	}{
		template.AuthorizationIAM: {"sigv4", object{
			"type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "awsSigv4",
		}},
		template.AuthorizationCognito: {"userPool", object{
			"type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "cognito_user_pools",
			"x-amazon-apigateway-authorizer": object{"type": "cognito_user_pools", "providerARNs": []any{userPool}},
		}},
		template.AuthorizationAPIKey: {"apiKey", object{"type": "apiKey", "name": "x-api-key", "in": "header"}},
		template.AuthorizationNone:   {},
	} {
		t.Run(authorization, func(t *testing.T) {
			t.Parallel()
			body := decode(t, resolve(t, authorizations()[authorization]).API().Body)
			var wantSchemes, wantSecurity any
			if scheme.name != "" {
				wantSchemes = object{scheme.name: scheme.definition}
				wantSecurity = []any{object{scheme.name: []any{}}}
			}
			if diff := cmp.Diff(wantSchemes, at(t, body, "components").(object)["securitySchemes"]); diff != "" {
				t.Errorf("securitySchemes (-want +got):\n%s", diff)
			}
			operations := 0
			for path, item := range at(t, body, "paths").(object) {
				for key, operation := range item.(object) {
					want := wantSecurity
					if key == "options" || key == "x-amazon-apigateway-any-method" {
						want = nil
					} else {
						operations++
					}
					if diff := cmp.Diff(want, operation.(object)["security"]); diff != "" {
						t.Errorf("%s %s: security (-want +got):\n%s", key, path, diff)
					}
				}
			}
			if want := len(routes()) + 2; operations != want { // and GET and HEAD of the index
				t.Errorf("there are %d operations, want %d", operations, want)
			}
			// Another value of the parameter would change nothing but what the stack says of itself.
			parameter := at(t, decode(t, project(t, authorizations()[authorization]).JSON()), "Parameters", "Authorization")
			if got := at(t, parameter, "AllowedValues"); !cmp.Equal(got, any([]any{authorization})) ||
				at(t, parameter, "Default") != authorization {
				t.Errorf("the parameter is %v", parameter)
			}
		})
	}
}

// TestDeploymentFollowsAuthorization sees that a stage gets what was asked for, and not only its API.
func TestDeploymentFollowsAuthorization(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for authorization, parameters := range authorizations() {
		id := deployment(t, project(t, parameters))
		if other, ok := seen[id]; ok {
			t.Errorf("%s and %s have the same deployment %s", authorization, other, id)
		}
		seen[id] = authorization
	}
	other := authorizations()[template.AuthorizationCognito]
	other["UserPoolArn"] = strings.Replace(userPool, "AbC", "XyZ", 1)
	if pool, ok := seen[deployment(t, project(t, other))]; ok {
		t.Errorf("with another user pool the deployment is that of %s", pool)
	}
}

// TestParametersTogether sees that what contradicts itself is refused before anything is deployed.
func TestParametersTogether(t *testing.T) {
	t.Parallel()
	loaded := load(t)
	for _, test := range []struct {
		parameters map[string]string
		want       []string
	}{
		{map[string]string{"Authorization": "COGNITO_USER_POOLS"},
			[]string{"parameter UserPoolArn: Authorization=COGNITO_USER_POOLS needs the ARN of the user pool"}},
		{map[string]string{"UserPoolArn": userPool}, []string{"parameter UserPoolArn: Authorization=AWS_IAM has no user pool"}},
		{map[string]string{"Authorization": "COGNITO_USER_POOLS", "UserPoolArn": "eu-central-1_AbCdEfGhI"}, []string{"an ARN such as"}},
		{map[string]string{"Authorization": "none"}, []string{`parameter Authorization: "none" is none of AWS_IAM,`}},
		{map[string]string{"Monitoring": "false", "DeploymentPreference": "Canary10Percent5Minutes", "AlarmEmail": "a@example.org"},
			[]string{"parameter DeploymentPreference: Canary10Percent5Minutes goes back when", "parameter AlarmEmail: with Monitoring=false"}},
		{map[string]string{"MemorySize": "256.5"}, []string{"parameter MemorySize: 256.5 is no whole number"}},
		{map[string]string{"MemorySize": "64"}, []string{"parameter MemorySize: 64 is less than 128"}},
		{map[string]string{"ReservedConcurrency": "-1"}, []string{"parameter ReservedConcurrency: -1 is less than 0"}},
		{map[string]string{"ReservedConcurrency": "1.5", "TracingReservoir": "0.1", "ThrottlingBurstLimit": "2.5"},
			[]string{"parameter ReservedConcurrency: 1.5", "parameter TracingReservoir: 0.1", "parameter ThrottlingBurstLimit: 2.5"}},
		{map[string]string{"TracingSamplingRate": "5"}, []string{"parameter TracingSamplingRate: 5 is more than 1"}},
		{map[string]string{"ErrorRateAlarm": "2"}, []string{"parameter ErrorRateAlarm: 2 is more than 1"}},
		{map[string]string{"AlarmEmail": "team"}, []string{"it is one address, such as team@example.org"}},
		{map[string]string{"ExistingTableName": "a"}, []string{"parameter ExistingTableName"}},
		{map[string]string{"StageName": "a-stage-of-18-char"}, []string{"a stage name has 1 to 17"}},
	} {
		_, err := loaded.Render(template.Options{Parameters: test.parameters})
		for _, want := range test.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v: the error is %v\nwant one with %q", test.parameters, err, want)
			}
		}
	}
	for _, parameters := range authorizations() {
		if _, err := loaded.Render(template.Options{Parameters: parameters}); err != nil {
			t.Errorf("%v: %v", parameters, err)
		}
	}
}
