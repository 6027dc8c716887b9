package apigateway_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	get := object{"get": operation(proxy())}
	doc := document(object{
		"/": get,
		"/users": object{
			"get":                            operation(proxy()),
			"x-amazon-apigateway-any-method": operation(proxy(), object{"operationId": "any"}),
		},
		"/users/{userId}":            get,
		"/users/me":                  get,
		"/users/{userId}/posts/{id}": get,
		"/users/me/posts/latest":     get,
		"/files/{proxy+}":            object{"x-amazon-apigateway-any-method": operation(proxy())},
		"/files/index.html":          get,
		"/deep/below":                get,
		"/all": object{
			"head": operation(proxy()), "options": operation(proxy()), "patch": operation(proxy()), "put": operation(proxy()),
			"post": operation(proxy()), "delete": operation(proxy()),
		},
	})
	for _, test := range []struct {
		method, path string
		resource     string // "" if none matches
		parameters   object
		operation    any
	}{
		{"GET", "", "/", nil, nil},
		{"GET", "/", "/", nil, nil},
		{"GET", "//", "/", nil, nil},
		{"GET", "/users", "/users", nil, nil},
		{"GET", "/users/", "/users", nil, nil},
		{"GET", "//users", "/users", nil, nil},
		{"GET", "///users//", "/users", nil, nil},
		{"GET", "//users/1//", "/users/{userId}", object{"userId": "1"}, nil},
		{"GET", "//files/a//b", "/files/{proxy+}", object{"proxy": "a//b"}, nil},
		{"POST", "/users", "/users", nil, "any"},
		{"GET", "/Users", "", nil, nil},
		{"GET", "/users/1", "/users/{userId}", object{"userId": "1"}, nil},
		{"GET", "/users/1/", "/users/{userId}", object{"userId": "1"}, nil},
		{"GET", "/users/a%2Fb", "/users/{userId}", object{"userId": "a%2Fb"}, nil},
		{"GET", "/users/%40", "/users/{userId}", object{"userId": "%40"}, nil},
		{"GET", "/users/me", "/users/me", nil, nil},
		{"HEAD", "/users/1", "", nil, nil},
		{"POST", "/users/me", "", nil, nil},
		{"GET", "/users//posts/1", "", nil, nil},
		{"GET", "/users/me/posts/latest", "/users/me/posts/latest", nil, nil},
		{"GET", "/users/me/posts/2", "/users/{userId}/posts/{id}", object{"userId": "me", "id": "2"}, nil},
		{"GET", "/users/1/posts", "", nil, nil},
		{"GET", "/files", "", nil, nil},
		{"GET", "/files/", "", nil, nil},
		{"PUT", "/files/a", "/files/{proxy+}", object{"proxy": "a"}, nil},
		{"GET", "/files/a/b%2Fc/d/", "/files/{proxy+}", object{"proxy": "a/b%2Fc/d"}, nil},
		{"GET", "/files/index.html", "/files/index.html", nil, nil},
		{"GET", "/files/index.html/x", "/files/{proxy+}", object{"proxy": "index.html/x"}, nil},
		{"POST", "/files/index.html", "", nil, nil},
		{"GET", "/deep", "", nil, nil},
		{"GET", "/deep/below", "/deep/below", nil, nil},
		{"GET", "/nowhere", "", nil, nil},
		{"HEAD", "/all", "/all", nil, nil},
		{"OPTIONS", "/all", "/all", nil, nil},
		{"PATCH", "/all", "/all", nil, nil},
		{"PUT", "/all", "/all", nil, nil},
		{"POST", "/all", "/all", nil, nil},
		{"DELETE", "/all", "/all", nil, nil},
		{"TRACE", "/all", "", nil, nil},
		{"GET", "/all", "", nil, nil},
	} {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			t.Parallel()
			function := &recorder{}
			s := serve(t, doc, function)
			got := s.do(test.method, test.path, "")
			if test.resource == "" {
				if test.method == "HEAD" { // without a body
					if got.status != 403 {
						t.Errorf("status = %d, want 403", got.status)
					}
					return
				}
				got.wantError(t, 403, "MissingAuthenticationTokenException", "Missing Authentication Token")
				return
			}
			if got.status != 200 {
				t.Fatalf("response = %+v, want status 200", got)
			}
			event := function.event(t)
			parameters, _ := event["pathParameters"].(object)
			operationName := event["requestContext"].(object)["operationName"]
			want := []any{test.resource, test.parameters, test.operation, test.method}
			if diff := cmp.Diff(want, []any{event["resource"], parameters, operationName, event["httpMethod"]}); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
		})
	}
}
