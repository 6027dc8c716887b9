package template_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/template"
)

const userPool = "arn:aws:cognito-idp:eu-central-1:123456789012:userpool/eu-central-1_AbCdEfGhI"

// authorizations returns the parameters for each value of Authorization.
func authorizations() map[string]map[string]string {
	return map[string]map[string]string{
		template.AuthorizationIAM:     nil,
		template.AuthorizationCognito: {"Authorization": template.AuthorizationCognito, "UserPoolArn": userPool},
		template.AuthorizationAPIKey:  {"Authorization": template.AuthorizationAPIKey},
		template.AuthorizationNone:    {"Authorization": template.AuthorizationNone},
	}
}

// TestAuthorization checks that every operation of the contract has the authorization of the stage, and that OPTIONS
// and unknown routes have none: a browser sends no credentials with a preflight.
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
				t.Errorf("got %d operations, want %d", operations, want)
			}
			// Another value of the parameter would not change the rendered Body.
			parameter := at(t, decode(t, project(t, authorizations()[authorization]).JSON()), "Parameters", "Authorization")
			if got := at(t, parameter, "AllowedValues"); !cmp.Equal(got, any([]any{authorization})) ||
				at(t, parameter, "Default") != authorization {
				t.Errorf("got parameter %v, want only the value %s", parameter, authorization)
			}
		})
	}
}

// TestDeploymentFollowsAuthorization checks that each authorization has its own deployment, without which the stage
// would not change.
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
		t.Errorf("another user pool has the same deployment as %s", pool)
	}
}

// TestParametersTogether checks that contradictory parameters are rejected.
func TestParametersTogether(t *testing.T) {
	t.Parallel()
	loaded := load(t)
	for _, test := range []struct {
		parameters map[string]string
		want       []string
	}{
		{map[string]string{"Authorization": "COGNITO_USER_POOLS"},
			[]string{"parameter UserPoolArn: Authorization=COGNITO_USER_POOLS needs the ARN of the user pool"}},
		{map[string]string{"UserPoolArn": userPool}, []string{"parameter UserPoolArn: Authorization=AWS_IAM uses no user pool"}},
		{map[string]string{"Authorization": "COGNITO_USER_POOLS", "UserPoolArn": "eu-central-1_AbCdEfGhI"}, []string{"an ARN such as"}},
		{map[string]string{"Authorization": "none"}, []string{`parameter Authorization: "none" is none of AWS_IAM,`}},
		{map[string]string{"Monitoring": "false", "DeploymentPreference": "Canary10Percent5Minutes", "AlarmEmail": "a@example.org"},
			[]string{"parameter DeploymentPreference: Canary10Percent5Minutes rolls back if", "parameter AlarmEmail: with Monitoring=false"}},
		{map[string]string{"MemorySize": "256.5"}, []string{"parameter MemorySize: want a whole number, got 256.5"}},
		{map[string]string{"MemorySize": "64"}, []string{"parameter MemorySize: 64 is less than 128"}},
		{map[string]string{"ReservedConcurrency": "-1"}, []string{"parameter ReservedConcurrency: -1 is less than 0"}},
		{map[string]string{"ReservedConcurrency": "1.5", "TracingReservoir": "0.1", "ThrottlingBurstLimit": "2.5"},
			[]string{"ReservedConcurrency: want a whole number", "TracingReservoir: want a whole number", "ThrottlingBurstLimit: want a whole number"}},
		{map[string]string{"TracingSamplingRate": "5"}, []string{"parameter TracingSamplingRate: 5 is more than 1"}},
		{map[string]string{"ErrorRateAlarm": "2"}, []string{"parameter ErrorRateAlarm: 2 is more than 1"}},
		{map[string]string{"AlarmEmail": "team"}, []string{"want one address, such as team@example.org"}},
		{map[string]string{"ExistingTableName": "a"}, []string{"parameter ExistingTableName"}},
		{map[string]string{"StageName": "a-stage-of-18-char"}, []string{"a stage name has 1 to 17"}},
	} {
		t.Run(test.want[0], func(t *testing.T) {
			t.Parallel()
			_, err := loaded.Render(template.Options{Parameters: test.parameters})
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v: error = %v\nwant one that contains %q", test.parameters, err, want)
				}
			}
		})
	}
	for _, parameters := range authorizations() {
		if _, err := loaded.Render(template.Options{Parameters: parameters}); err != nil {
			t.Errorf("%v: error = %v, want none", parameters, err)
		}
	}
}
