package apigateway_test

import "testing"

// validated returns the keys of a document whose required parameters are validated.
func validated() object {
	return object{
		"x-amazon-apigateway-request-validators": object{
			"parameters": object{"validateRequestBody": false, "validateRequestParameters": true},
		},
		"x-amazon-apigateway-request-validator": "parameters",
	}
}

func TestRequiredParameters(t *testing.T) {
	t.Parallel()
	o := operation(proxy(), object{
		"parameters": []object{
			{"name": "q", "in": "query", "required": true}, {"name": "optional", "in": "query"},
			{"name": "x-tenant", "in": "header", "required": true}, {"name": "id", "in": "path", "required": true},
			{"name": "both", "in": "query", "required": true},
		},
		"requestBody": object{"required": true},
	})
	paths := object{"/users/{id}": object{"get": o}}
	for _, test := range []struct {
		path, tenant string
		want         string // error message; "" if the request is valid
	}{
		{"/users/1?q=1&both=1", "t", ""},
		{"/users/1", "", "Missing required request parameters: [x-tenant, both, q]"},
		{"/users/1?q=&both=1", "t", "Missing required request parameters: [q]"},
		{"/users/1?q=%20&both=1", "t", "Missing required request parameters: [q]"},
		{"/users/1?Q=1&both=1", "t", "Missing required request parameters: [q]"},
		{"/users/1?q=1&both=1", "  ", "Missing required request parameters: [x-tenant]"},
	} {
		t.Run(test.path+" "+test.tenant, func(t *testing.T) {
			t.Parallel()
			s := serve(t, document(paths, validated()), respondWith(`{}`))
			var headers []string
			if test.tenant != "" {
				headers = []string{"X-Tenant", test.tenant}
			}
			got := s.do("GET", test.path, "", headers...)
			if test.want == "" {
				if got.status != 200 {
					t.Errorf("response = %+v, want status 200", got)
				}
				return
			}
			got.wantError(t, 400, "BadRequestException", test.want)
		})
	}
	if got := serve(t, document(paths), respondWith(`{}`)).do("GET", "/users/1", ""); got.status != 200 {
		t.Errorf("without a validator: response = %+v, want status 200", got)
	}
}
