package apigateway_test

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMockPreflight(t *testing.T) {
	t.Parallel()
	doc := document(object{"/users": object{"options": operation(mock(object{
		"responses": object{"default": object{
			"statusCode": "204",
			"responseParameters": object{
				"method.response.header.Allow":                        "'GET, HEAD, OPTIONS'",
				"method.response.header.Access-Control-Allow-Methods": "'it''s'",
			},
		}},
	}))}})
	s := serve(t, doc, respondWith(`{}`))
	got := s.do("OPTIONS", "/users", "")
	if !uuid.MatchString(got.header.Get("x-amzn-RequestId")) || !extendedID.MatchString(got.header.Get("x-amz-apigw-id")) ||
		!fullTrace.MatchString(got.header.Get("X-Amzn-Trace-Id")) {
		t.Errorf("header = %v, want the ids and the trace", got.header)
	}
	for _, name := range []string{"X-Amzn-RequestId", "X-Amz-Apigw-Id", "X-Amzn-Trace-Id", "Date"} {
		got.header.Del(name)
	}
	want := reply{204, http.Header{
		"Allow": {"GET, HEAD, OPTIONS"}, "Access-Control-Allow-Methods": {"it''s"}, "Content-Type": {"application/json"},
	}, ""}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(reply{})); diff != "" {
		t.Errorf("response (-want +got):\n%s", diff)
	}
	if got := s.record(); got.FunctionARN != "" || got.Status != 204 || got.ErrorType != "" {
		t.Errorf("record = %+v, want status 204, no function and no error", got)
	}
}

func TestMockContentType(t *testing.T) {
	t.Parallel()
	for contentType, want := range map[string]int{
		"application/json; charset=utf-8": 200, "Application/JSON": 200, "": 200, "text/xml": 415,
	} {
		t.Run(strconv.Quote(contentType), func(t *testing.T) {
			t.Parallel()
			s := serve(t, document(object{"/": object{"post": operation(mock())}}), respondWith(`{}`))
			var headers []string
			if contentType != "" {
				headers = []string{"Content-Type", contentType}
			}
			got := s.do("POST", "/", `{"statusCode": 418}`, headers...)
			if got.status != want {
				t.Errorf("status %d, want %d", got.status, want)
			}
			if want == 415 {
				got.wantError(t, 415, "BadRequestException", "Unsupported Media Type")
			}
		})
	}
}

func TestMockTemplate(t *testing.T) {
	t.Parallel()
	doc := document(object{"/users": object{"get": operation(mock(object{
		"responses": object{"default": object{
			"statusCode":        404,
			"responseTemplates": object{"application/json": `{"id":"$context.requestId","self":"/$context.stage/"}`},
		}},
	}))}})
	got := serve(t, doc, respondWith(`{}`)).do("GET", "/users", "", "Accept", "text/html")
	want := `{"id":"` + got.header.Get("x-amzn-RequestId") + `","self":"/prod/"}`
	if got.status != 404 || got.body != want || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("response = %+v, want 404 and %s", got, want)
	}
}
