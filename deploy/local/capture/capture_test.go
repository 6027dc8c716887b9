package capture_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/local/apigateway"
	"github.com/userrequestapi/userdata/deploy/local/capture"
)

const document = `{"openapi": "3.0.3", "info": {"title": "Things", "version": "1"}, "paths": {}, "components": {"securitySchemes": {
	"header": {"type": "apiKey", "in": "header", "name": "X-Things-Key"},
	"query": {"type": "apiKey", "in": "query", "name": "thingsKey"}}}}`

func secrets(t *testing.T) capture.Secrets {
	t.Helper()
	parsed, err := contract.Parse([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return capture.NewSecrets(parsed)
}

// exchange returns the exchange of a request.
func exchange(t *testing.T, address string, headers map[string]string, requestBody, responseBody string) capture.Exchange {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "POST", address, http.NoBody)
	r.Host = "127.0.0.1:3000"
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	return secrets(t).Exchange(apigateway.Record{RequestID: "request", Status: 201}, apigateway.Content{
		Request: r, RequestBody: []byte(requestBody), Header: http.Header{"Set-Cookie": {"id=secret-cookie"}}, Body: []byte(responseBody),
	})
}

func TestExchange_Masks(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "X-Amz-Security-Token", "X-Things-Key",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := exchange(t, "/prod/things", map[string]string{name: "secret-value", "X-Copy": "of secret-value"},
				`{"note": "secret-value"}`, `{"message": "secret-value is wrong"}`)
			want := []capture.Header{
				{Name: name, Value: capture.Mask, Masked: true}, {Name: "Host", Value: "127.0.0.1:3000"}, {Name: "X-Copy", Value: "of " + capture.Mask},
			}
			slices.SortFunc(want, func(a, b capture.Header) int { return strings.Compare(a.Name, b.Name) })
			if diff := cmp.Diff(want, got.Request.Headers); diff != "" {
				t.Error(diff)
			}
			if encoded := fmt.Sprint(got); strings.Contains(encoded, "secret-value") || strings.Contains(encoded, "secret-cookie") {
				t.Errorf("got %s, want no secret", encoded)
			}
		})
	}
}

func TestExchange_MasksRepeatedParts(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"Authorization":       "AWS4-HMAC-SHA256 Credential=AKIA/x, SignedHeaders=host;x-amz-date, Signature=secret-value",
		"Proxy-Authorization": "Basic secret-value",
		"Cookie":              "a=b; id=secret-value; c=d",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := exchange(t, "/", map[string]string{name: value}, "host;x-amz-date: secret-value", "")
			if want := "host;x-amz-date: " + capture.Mask; got.Request.Body != want {
				t.Errorf("the body is %s, want %s", got.Request.Body, want)
			}
		})
	}
}

func TestExchange_MasksParameters(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{ //nolint:gosec // not credentials
		"/prod/things":                                   "/prod/things",
		"/prod/things?limit=2&cursor=%5Ba%5D&x":          "/prod/things?limit=2&cursor=%5Ba%5D&x",
		"/prod/things?thingsKey=secret-value&limit=2":    "/prod/things?thingsKey=•••&limit=2",
		"/a?X-Amz-Signature=abc&x-amz-credential=AKIA":   "/a?X-Amz-Signature=•••&x-amz-credential=•••",
		"/a?X%2DAmz-Security-Token=secret%2Dvalue&a=b":   "/a?X%2DAmz-Security-Token=•••&a=b",
		"/a?api_key=secret-value&access_token=%zz&b=%zz": "/a?api_key=•••&access_token=•••&b=%zz",
	} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/", http.NoBody)
			r.RequestURI = address
			got := secrets(t).Exchange(apigateway.Record{}, apigateway.Content{Request: r, Body: []byte("secret-value")})
			if got.Address != want {
				t.Errorf("got %s, want %s", got.Address, want)
			}
			if strings.Contains(address, "secret") && got.Response.Body != capture.Mask {
				t.Errorf("the body is %s, want it masked", got.Response.Body)
			}
		})
	}
}

func TestExchange_Bodies(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 512<<10)
	for name, tt := range map[string]struct {
		body    string
		omitted string
	}{
		"JSON":      {`{"n": 12345678901234567890.120}`, ""},
		"largest":   {large, ""},
		"too large": {large + "x", capture.Large},
		"binary":    {"\xff\x00", capture.Binary},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := capture.Message{Body: tt.body, Bytes: len(tt.body), Omitted: tt.omitted}
			if tt.omitted != "" {
				want.Body = ""
			}
			got := exchange(t, "/", nil, tt.body, "").Request
			got.Headers = nil
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestStore(t *testing.T) {
	t.Parallel()
	var store capture.Store
	body := string(bytes.Repeat([]byte("x"), 256<<10))
	const added = 100 // more than fit
	for i := range added {
		store.Add(capture.Exchange{
			RequestID: strconv.Itoa(i), TraceID: strconv.Itoa(i / 2), Request: capture.Message{Body: body},
		})
	}
	kept := 0
	for i := range added {
		e, ok := store.Request(strconv.Itoa(i))
		if ok {
			kept++
		}
		if ok != (kept > 0) || ok && e.RequestID != strconv.Itoa(i) {
			t.Errorf("request %d: kept %t, got %s; want only the last ones", i, ok, e.RequestID)
		}
	}
	if want := 8 << 20 / (len(body) + 512); kept != want {
		t.Errorf("kept %d, want the last %d", kept, want)
	}
	last := store.Trace(strconv.Itoa((added - 1) / 2))
	if len(last) != 2 || last[0].RequestID != strconv.Itoa(added-2) || last[1].RequestID != strconv.Itoa(added-1) {
		t.Errorf("the last trace has %d exchanges, want 2, the oldest first", len(last))
	}
	if first := store.Trace("0"); len(first) != 0 {
		t.Errorf("the first trace has %d exchanges, want none", len(first))
	}
	store.Clear()
	if _, ok := store.Request(strconv.Itoa(added - 1)); ok || len(store.Trace("49")) != 0 {
		t.Error("want nothing after Clear")
	}
}
