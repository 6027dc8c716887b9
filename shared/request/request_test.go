package request_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/shared/problem"
	"github.com/userrequestapi/userdata/shared/request"
	"github.com/userrequestapi/userdata/shared/request/requesttest"
	"github.com/userrequestapi/userdata/shared/user"
)

func get(target string, headers ...string) *request.Request {
	event := requesttest.Event("GET", target, "", headers...)
	return request.New(&event)
}

// code returns the code of err's problem document, or "" if err is nil. It checks that the problem is a client error.
func code(t *testing.T, err error) user.Code {
	t.Helper()
	if err == nil {
		return ""
	}
	p := problem.From(err)
	if p.Status >= 500 || p.Detail == "" {
		t.Errorf("got error %v with status code %d and detail %q, want 4xx and a detail", err, p.Status, p.Detail)
	}
	return p.Code
}

func TestUserID(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]struct {
		id   string
		code user.Code
	}{
		"/users":                           {"", ""},
		"/users?limit=1":                   {"", ""},
		"/users/1":                         {"1", ""},
		"/users/1/":                        {"1", ""},
		"/users?userId=1":                  {"1", ""},
		"/users/1?userId=1":                {"1", ""},
		"/users/%31":                       {"1", ""},
		"/users/%61%2E%7e?userId=a.~":      {"a.~", ""},
		"/users/1?userId=2":                {"", request.InvalidParameter},
		"/users?userId=1&userId=1":         {"", request.InvalidParameter},
		"/users/1?userId=1&userId=1":       {"", request.InvalidParameter},
		"/users?userId=1&userId=":          {"", request.InvalidParameter},
		"/users?userId=":                   {"", user.InvalidUserID},
		"/users?userId":                    {"", user.InvalidUserID},
		"/users?userId=%20%09+":            {"", user.InvalidUserID},
		"/users/1?userId=":                 {"", user.InvalidUserID},
		"/users?userId=a%40b":              {"a@b", ""},
		"/users?userId=a+b":                {"a b", ""},
		"/users?userId=..":                 {"..", ""},
		"/users/a%40b":                     {"a@b", ""},
		"/users/a%2Fb":                     {"a/b", ""},
		"/users/a%20b":                     {"a b", ""},
		"/users/a+b":                       {"a+b", ""},
		"/users/%20":                       {" ", ""},
		"/users/%2e%2e":                    {"..", ""},
		"/users/%2531":                     {"%31", ""}, // decoded once
		"/users/%C3%A9":                    {"é", ""},
		"/users/%zz":                       {"", user.InvalidUserID},
		"/users/%":                         {"", user.InvalidUserID},
		"/users/%ff":                       {"", user.InvalidUserID},
		"/users/1?limit=1&limit=2&cursor=": {"1", ""},
	} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			id, err := get(target).UserID()
			if got := code(t, err); got != want.code || err == nil && id != want.id {
				t.Errorf("got %q, error %v, want %q, %s", id, err, want.id, want.code)
			}
		})
	}
}

func TestUserID_Length(t *testing.T) {
	t.Parallel()
	long, longest := strings.Repeat("x", 128), strings.Repeat("x", 2048)
	for name, test := range map[string]struct {
		target, id string
		code       user.Code
	}{
		"path, 128":   {"/users/" + long, long, ""},
		"query, 128":  {"/users?userId=" + long, long, ""},
		"path, 2048":  {"/users/" + longest, longest, ""},
		"path, 2049":  {"/users/" + longest + "x", "", user.InvalidUserID},
		"query, 2050": {"/users?userId=" + strings.Repeat("%C3%A9", 1025), "", user.InvalidUserID},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id, err := get(test.target).UserID()
			if got := code(t, err); got != test.code || err == nil && id != test.id {
				t.Errorf("got %q, error %v, want %q, %s", id, err, test.id, test.code)
			}
		})
	}
}

// The test invocation of the API Gateway console sends only the single-value maps.
func TestSingleValueMaps(t *testing.T) {
	t.Parallel()
	event := events.APIGatewayProxyRequest{
		QueryStringParameters: map[string]string{"userId": "1"},
		Headers:               map[string]string{"IF-MATCH": `"a"`},
	}
	req := request.New(&event)
	id, err := req.UserID()
	etags, etagErr := req.IfMatch(true)
	if err := errors.Join(err, etagErr); err != nil || id != "1" || !cmp.Equal(etags, []user.ETag{"a"}) {
		t.Errorf("got id %q, ETags %q, error %v, want 1 and a", id, etags, err)
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	for target, want := range map[string][2]string{
		"/users":            {"/prod/users", "/prod/users/2"},
		"/users/":           {"/prod/users", "/prod/users/2"},
		"/users//":          {"/prod/users", "/prod/users/2"},
		"/users?userId=1":   {"/prod/users", "/prod/users/2"},
		"/users/1":          {"/prod/users/1", "/prod/users/2"},
		"/users/1/":         {"/prod/users/1", "/prod/users/2"},
		"/users/1//":        {"/prod/users/1", "/prod/users/2"},
		"/users/a%2Fb?x=/y": {"/prod/users/a%2Fb", "/prod/users/2"},
	} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			req := get(target)
			if diff := cmp.Diff(want, [2]string{req.Path(), req.UserPath("2")}); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	for id, want := range map[string]string{ // ids that other programs may have written
		"a b/c?~":                "/prod/users?userId=a+b%2Fc%3F~",
		"café x":                 "/prod/users?userId=caf%C3%A9+x",
		"..":                     "/prod/users?userId=..",
		" ":                      "/prod/users/%20",
		strings.Repeat("x", 129): "/prod/users?userId=" + strings.Repeat("x", 129),
	} {
		t.Run(fmt.Sprintf("%.20q", id), func(t *testing.T) {
			t.Parallel()
			if got := get("/users/1").UserPath(id); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if got, err := get(strings.TrimPrefix(want, "/prod")).UserID(); got != id || err != nil {
				t.Errorf("%s: got id %q, error %v, want %q", want, got, err, id)
			}
		})
	}
}

// TestBasePaths checks paths that begin with a stage, with the base path of a custom domain, or with neither.
func TestBasePaths(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string]string{
		"/prod/users":        "/prod",
		"/prod//users":       "/prod",
		"//prod///users//":   "/prod",
		"/users":             "",
		"//users/":           "",
		"/api/v1/users":      "/api/v1",
		"/users/users":       "/users",
		"/api//v1/users/":    "/api/v1",
		"/api/v1/users/1":    "/api/v1",
		"/api/v1//users//1/": "/api/v1",
		"/users/1":           "",
	} {
		t.Run(sent, func(t *testing.T) {
			t.Parallel()
			event := requesttest.Event("GET", "/users", "")
			if strings.Contains(sent, "1") && !strings.HasSuffix(strings.TrimRight(sent, "/"), "users") {
				event = requesttest.Event("GET", "/users/1", "")
			}
			event.RequestContext.Path = sent
			req := request.New(&event)
			location, _ := req.NextPage(1, "1")
			list, _, _ := strings.Cut(location, "?")
			if diff := cmp.Diff([2]string{want + "/users", want + "/users/2"}, [2]string{list, req.UserPath("2")}); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	event := requesttest.Event("DELETE", "/users/1", "")
	req := request.New(&event)
	got := []string{req.Method(), req.Operation(), req.Route(), req.ID()}
	if diff := cmp.Diff([]string{"DELETE", "DELETE", "/users/{userId}", requesttest.RequestID}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	event.RequestContext.OperationName = "deleteUser"
	if got := req.Operation(); got != "deleteUser" {
		t.Errorf("got operation %s, want deleteUser", got)
	}
}

func TestCaller(t *testing.T) {
	t.Parallel()
	type (
		requestContext = events.APIGatewayProxyRequestContext
		identity       = events.APIGatewayRequestIdentity
	)
	subject := func(sub string) map[string]any { return map[string]any{"claims": map[string]any{"sub": sub}} }
	const role = "arn:aws:sts::123456789012:assumed-role/caller"
	for name, test := range map[string]struct {
		context requestContext
		want    string
	}{
		"none":           {requestContext{}, ""},
		"user pool":      {requestContext{Authorizer: subject("1"), Identity: identity{APIKeyID: "2"}}, "sub:1"},
		"IAM":            {requestContext{Identity: identity{UserArn: "1", APIKeyID: "2"}}, "arn:1"},
		"session of IAM": {requestContext{Identity: identity{UserArn: role + "/session"}}, "arn:" + role},
		"API key":        {requestContext{Identity: identity{APIKeyID: "1"}}, "key:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			event := events.APIGatewayProxyRequest{RequestContext: test.context}
			if got := request.New(&event).Caller(); got != test.want {
				t.Errorf("got caller %q, want %q", got, test.want)
			}
		})
	}
}

func TestPage(t *testing.T) {
	t.Parallel()
	_, cursor := get("/users").NextPage(10, "a.b")
	for query, want := range map[string]struct {
		limit int
		after string
		code  user.Code
	}{
		"":                                 {25, "", ""},
		"limit=1":                          {1, "", ""},
		"limit=100":                        {100, "", ""},
		"cursor=" + cursor:                 {25, "a.b", ""},
		"cursor=" + cursor + "&limit=7":    {7, "a.b", ""},
		"limit=0":                          {0, "", request.InvalidParameter},
		"limit=101":                        {0, "", request.InvalidParameter},
		"limit=-1":                         {0, "", request.InvalidParameter},
		"limit=abc":                        {0, "", request.InvalidParameter},
		"limit=":                           {0, "", request.InvalidParameter},
		"limit=1.5":                        {0, "", request.InvalidParameter},
		"limit=1e1":                        {0, "", request.InvalidParameter},
		"limit=+5":                         {0, "", request.InvalidParameter},
		"limit=5+":                         {0, "", request.InvalidParameter},
		"limit=010":                        {0, "", request.InvalidParameter},
		"limit=05":                         {0, "", request.InvalidParameter},
		"limit=5.0":                        {0, "", request.InvalidParameter},
		"limit=0x5":                        {0, "", request.InvalidParameter},
		"limit=%D9%A5":                     {0, "", request.InvalidParameter}, // the Arabic digit five
		"limit=%2B5":                       {0, "", request.InvalidParameter},
		"limit=99999999999999999999":       {0, "", request.InvalidParameter},
		"limit=5&limit=5":                  {0, "", request.InvalidParameter},
		"cursor=":                          {0, "", request.InvalidParameter},
		"cursor=abc":                       {0, "", request.InvalidParameter},
		"cursor=a%20b":                     {0, "", request.InvalidParameter},
		"cursor=1&cursor=2":                {0, "", request.InvalidParameter},
		"cursor=" + cursor + "%3D":         {0, "", request.InvalidParameter},
		"cursor=" + cursor[:len(cursor)-2]: {0, "", request.InvalidParameter},
		"cursor=" + otherVersion(cursor):   {0, "", request.InvalidParameter},
		"cursor=" + base64.RawURLEncoding.EncodeToString([]byte("\x0112345678a")):  {0, "", request.InvalidParameter},
		"cursor=" + base64.RawURLEncoding.EncodeToString([]byte(`{"userId":"1"}`)): {0, "", request.InvalidParameter},
	} {
		t.Run("?"+query, func(t *testing.T) {
			t.Parallel()
			limit, after, err := get("/users?" + query).Page()
			if got := code(t, err); got != want.code || limit != want.limit || after != want.after {
				t.Errorf("got %d, %q, error %v, want %d, %q, %s", limit, after, err, want.limit, want.after, want.code)
			}
		})
	}
}

// otherVersion returns cursor with another version.
func otherVersion(cursor string) string { return "B" + cursor[1:] }

func TestCheckQuery(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"":                           "",
		"userId=1&limit=1&cursor=1":  "",
		"other=1&users=1&lim=1&id=1": "",
		"userID=1":                   "userId",
		"userid=1":                   "userId",
		"UserId=1&userId=1":          "userId",
		"Limit=5":                    "limit",
		"limit=5&LIMIT=5":            "limit",
		"CURSOR=1&Limit=5":           "limit",
		"Cursor":                     "cursor",
	} {
		t.Run("?"+query, func(t *testing.T) {
			t.Parallel()
			err := get("/users?" + query).CheckQuery()
			if want == "" {
				if err != nil {
					t.Errorf("got error %v, want none", err)
				}
				return
			}
			if code(t, err) != request.InvalidParameter || !strings.Contains(problem.From(err).Detail, " "+want+",") {
				t.Errorf("got error %v, want one that names %s", problem.From(err).Detail, want)
			}
		})
	}
}

func TestNextPage(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"1", "a b/é&?", strings.Repeat("x", 2048)} {
		t.Run(fmt.Sprintf("%.20q", id), func(t *testing.T) {
			t.Parallel()
			location, cursor := get("/users/").NextPage(7, id)
			if _, err := base64.RawURLEncoding.DecodeString(cursor); err != nil || !strings.HasPrefix(location, "/prod/users?") {
				t.Errorf("got %s and cursor %s, want /prod/users with a base64url cursor", location, cursor)
			}
			limit, after, err := get(strings.TrimPrefix(location, "/prod")).Page()
			if err != nil || limit != 7 || after != id {
				t.Errorf("got %d, %q, error %v, want 7, %q", limit, after, err, id)
			}
		})
	}
	for _, id := range []string{"", strings.Repeat("x", 2049), "\xff"} { // not valid as keys of a table
		t.Run(fmt.Sprintf("invalid %.20q", id), func(t *testing.T) {
			t.Parallel()
			_, cursor := get("/users").NextPage(7, id)
			if _, after, err := get("/users?cursor=" + cursor).Page(); code(t, err) != request.InvalidParameter {
				t.Errorf("got %q, error %v, want %s", after, err, request.InvalidParameter)
			}
		})
	}
}

func TestNextPage_Filters(t *testing.T) {
	t.Parallel()
	location, cursor := get("/users?name=A%26B&other=c").NextPage(7, "1", "name", "email")
	if want := "/prod/users?cursor=" + cursor + "&limit=7&name=A%26B"; location != want {
		t.Errorf("location = %s, want %s", location, want)
	}
}

func TestUser(t *testing.T) {
	t.Parallel()
	const body = `{"userId":"1","email":"ada@example.org"}`
	want := user.Attributes{"userId": "1", "email": "ada@example.org"}
	for name, test := range map[string]struct {
		headers []string
		code    user.Code
	}{
		"none":                      {nil, ""},
		"JSON":                      {[]string{"Content-Type", "application/json"}, ""},
		"lower case":                {[]string{"content-type", "application/json"}, ""},
		"any case":                  {[]string{"cOnTeNt-TyPe", "Application/JSON"}, ""},
		"UTF-8":                     {[]string{"Content-Type", "application/json; charset=utf-8"}, ""},
		"UTF-8, quoted":             {[]string{"Content-Type", `application/json;charset="UTF-8"`}, ""},
		"unknown parameter":         {[]string{"Content-Type", "application/json; profile=x"}, ""},
		"another charset":           {[]string{"Content-Type", "application/json; charset=iso-8859-1"}, request.UnsupportedMediaType},
		"text":                      {[]string{"Content-Type", "text/plain"}, request.UnsupportedMediaType},
		"form":                      {[]string{"Content-Type", "application/x-www-form-urlencoded"}, request.UnsupportedMediaType},
		"merge patch":               {[]string{"Content-Type", "application/merge-patch+json"}, request.UnsupportedMediaType},
		"blank":                     {[]string{"Content-Type", ""}, request.UnsupportedMediaType},
		"no media type":             {[]string{"Content-Type", "json"}, request.UnsupportedMediaType},
		"malformed parameter":       {[]string{"Content-Type", "application/json; charset"}, request.UnsupportedMediaType},
		"two":                       {[]string{"Content-Type", "application/json", "Content-Type", "text/plain"}, request.UnsupportedMediaType},
		"two, in different letters": {[]string{"Content-Type", "application/json", "content-type", "text/plain"}, request.UnsupportedMediaType},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			event := requesttest.Event("POST", "/users", body, test.headers...)
			got, err := request.New(&event).User()
			if c := code(t, err); c != test.code {
				t.Errorf("got error %v, want %s", err, test.code)
			}
			if diff := cmp.Diff(want, got); err == nil && diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}

	for name, test := range map[string]struct {
		values []string
		code   user.Code
		detail string
	}{
		"identity":             {[]string{"identity"}, "", ""},
		"identity in capitals": {[]string{"Identity"}, "", ""},
		"identity twice":       {[]string{"identity", "identity, identity"}, "", ""},
		"empty":                {[]string{""}, "", ""},
		"gzip":                 {[]string{"gzip"}, request.UnsupportedContentEncoding, " gzip "},
		"br in capitals":       {[]string{"BR"}, request.UnsupportedContentEncoding, " BR "},
		"identity and gzip":    {[]string{"identity, gzip"}, request.UnsupportedContentEncoding, " gzip "},
		"several headers":      {[]string{"identity", "zstd"}, request.UnsupportedContentEncoding, " zstd "},
		"list":                 {[]string{"deflate, gzip"}, request.UnsupportedContentEncoding, " deflate "},
		"not a name":           {[]string{"<script>"}, request.UnsupportedContentEncoding, " in Content-Encoding "},
		"long":                 {[]string{strings.Repeat("x", 33)}, request.UnsupportedContentEncoding, " in Content-Encoding "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, header := range []string{"Content-Encoding", "content-encoding"} {
				var headers []string
				for _, v := range test.values {
					headers = append(headers, header, v)
				}
				event := requesttest.Event("POST", "/users", body, headers...)
				_, err := request.New(&event).User()
				if c := code(t, err); c != test.code {
					t.Errorf("got error %v, want %s", err, test.code)
				} else if err != nil && !strings.Contains(problem.From(err).Detail, test.detail) {
					t.Errorf("got detail %q, want it to name %s", problem.From(err).Detail, test.detail)
				}
			}
		})
	}

	event := requesttest.Event("POST", "/users", base64.StdEncoding.EncodeToString([]byte(body)))
	if _, err := request.New(&event).User(); code(t, err) != user.InvalidBody {
		t.Errorf("base64: got error %v, want %s", err, user.InvalidBody)
	}
	event.IsBase64Encoded = true
	got, err := request.New(&event).User()
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("base64 by API Gateway: %v (-want +got):\n%s", err, diff)
	}
	event.Body = "*"
	if got, err := request.New(&event).User(); err == nil {
		t.Errorf("invalid base64 by API Gateway: got %v, want an error", got)
	}
	event = requesttest.Event("POST", "/users", "")
	if _, err := request.New(&event).User(); code(t, err) != user.InvalidBody {
		t.Errorf("no body: got error %v, want %s", err, user.InvalidBody)
	}
}

func TestIdempotency(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", 255)
	for name, test := range map[string]struct {
		headers []string
		want    string
		code    user.Code
	}{
		"none":              {nil, "", ""},
		"bare":              {[]string{"Idempotency-Key", "8e03978e-40d5"}, "8e03978e-40d5", ""},
		"quoted":            {[]string{"idempotency-key", `"8e03978e-40d5"`}, "8e03978e-40d5", ""},
		"with spaces":       {[]string{"Idempotency-Key", "a b,c"}, "a b,c", ""},
		"longest":           {[]string{"Idempotency-Key", long}, long, ""},
		"longest, quoted":   {[]string{"Idempotency-Key", `"` + long + `"`}, long, ""},
		"too long":          {[]string{"Idempotency-Key", long + "k"}, "", request.InvalidParameter},
		"too long, quoted":  {[]string{"Idempotency-Key", `"k` + long + `"`}, "", request.InvalidParameter},
		"empty":             {[]string{"Idempotency-Key", ""}, "", request.InvalidParameter},
		"blank":             {[]string{"Idempotency-Key", "  "}, "", request.InvalidParameter},
		"empty, quoted":     {[]string{"Idempotency-Key", `""`}, "", request.InvalidParameter},
		"quote":             {[]string{"Idempotency-Key", `"`}, "", request.InvalidParameter},
		"quote at start":    {[]string{"Idempotency-Key", `"a`}, "", request.InvalidParameter},
		"quote at end":      {[]string{"Idempotency-Key", `a"`}, "", request.InvalidParameter},
		"quote within":      {[]string{"Idempotency-Key", `"a"b"`}, "", request.InvalidParameter},
		"two":               {[]string{"Idempotency-Key", "a", "Idempotency-Key", "a"}, "", request.InvalidParameter},
		"two spellings":     {[]string{"Idempotency-Key", "a", "IDEMPOTENCY-KEY", "a"}, "", request.InvalidParameter},
		"control character": {[]string{"Idempotency-Key", "a\tb"}, "", request.InvalidParameter},
		"not ASCII":         {[]string{"Idempotency-Key", "é"}, "", request.InvalidParameter},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := get("/users", test.headers...).Idempotency()
			if c := code(t, err); c != test.code || got != test.want {
				t.Errorf("got %q, error %v, want %q, %s", got, err, test.want, test.code)
			}
		})
	}
}

func TestIfMatch(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		values   []string
		required bool
		want     []user.ETag
		code     user.Code
	}{
		"none":                    {nil, false, nil, ""},
		"none, required":          {nil, true, nil, request.PreconditionRequired},
		"one":                     {[]string{`"a"`}, true, []user.ETag{"a"}, ""},
		"list":                    {[]string{`"a","b" , "c,d"`}, false, []user.ETag{"a", "b", "c,d"}, ""},
		"several headers":         {[]string{`"a", "b"`, `"c"`}, false, []user.ETag{"a", "b", "c"}, ""},
		"empty elements":          {[]string{`, "a",, "b",`}, false, []user.ETag{"a", "b"}, ""},
		"any":                     {[]string{"*"}, true, nil, ""},
		"any, with spaces":        {[]string{" * "}, false, nil, ""},
		"weak never matches":      {[]string{`W/"a"`}, false, []user.ETag{""}, ""},
		"weak and strong":         {[]string{`W/"a", "b"`}, false, []user.ETag{"b"}, ""},
		"all visible characters":  {[]string{`"!#~é/\"`}, false, []user.ETag{`!#~é/\`}, ""},
		"without quotes":          {[]string{"a"}, false, nil, request.InvalidParameter},
		"quote at start":          {[]string{`"a`}, false, nil, request.InvalidParameter},
		"quote at end":            {[]string{`a"`}, false, nil, request.InvalidParameter},
		"space within":            {[]string{`"a b"`}, false, nil, request.InvalidParameter},
		"no comma":                {[]string{`"a" "b"`}, false, nil, request.InvalidParameter},
		"any among others":        {[]string{`*, "a"`}, false, nil, request.InvalidParameter},
		"any after others":        {[]string{`"a", *`}, false, nil, request.InvalidParameter},
		"weak in lower case":      {[]string{`w/"a"`}, false, nil, request.InvalidParameter},
		"single quotes":           {[]string{`'a'`}, false, nil, request.InvalidParameter},
		"empty":                   {[]string{""}, false, nil, request.InvalidParameter},
		"empty, required":         {[]string{""}, true, nil, request.InvalidParameter},
		"only commas":             {[]string{" , ,"}, false, nil, request.InvalidParameter},
		"something after the tag": {[]string{`"a"; x`}, false, nil, request.InvalidParameter},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, header := range []string{"If-Match", "if-match"} {
				var headers []string
				for _, v := range test.values {
					headers = append(headers, header, v)
				}
				got, err := get("/users/1", headers...).IfMatch(test.required)
				if c := code(t, err); c != test.code {
					t.Errorf("got error %v, want %s", err, test.code)
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			}
		})
	}
}

func TestIfNoneMatch(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]struct {
		notModified bool
		code        user.Code // for a read
		createCode  user.Code // for a creation
	}{
		`"a"`:            {true, "", request.InvalidParameter},
		`W/"a"`:          {true, "", request.InvalidParameter},
		`"b", W/"a"`:     {true, "", request.InvalidParameter},
		`"b"`:            {false, "", request.InvalidParameter},
		`"A"`:            {false, "", request.InvalidParameter},
		`*`:              {true, "", ""},
		`a`:              {false, request.InvalidParameter, request.InvalidParameter},
		``:               {false, request.InvalidParameter, request.InvalidParameter},
		`"b", "a`:        {false, request.InvalidParameter, request.InvalidParameter},
		`*, *`:           {false, request.InvalidParameter, request.InvalidParameter},
		`"b" , "c","a" `: {true, "", request.InvalidParameter},
	} {
		t.Run("If-None-Match: "+value, func(t *testing.T) {
			t.Parallel()
			req := get("/users/1", "If-None-Match", value)
			notModified, err := req.NotModified("a")
			if c := code(t, err); c != want.code || notModified != want.notModified {
				t.Errorf("read %s: got %t, error %v, want %t, %s", value, notModified, err, want.notModified, want.code)
			}
			if c := code(t, req.CheckNoneMatch()); c != want.createCode {
				t.Errorf("create %s: got %s, want %s", value, c, want.createCode)
			}
		})
	}
	req := get("/users/1")
	if notModified, err := req.NotModified("a"); notModified || err != nil || req.CheckNoneMatch() != nil {
		t.Errorf("without the header: got %t, errors %v and %v, want false and none", notModified, err, req.CheckNoneMatch())
	}
}

// Error texts, which are logged, contain no values of the request.
func TestErrorsHaveNoValues(t *testing.T) {
	t.Parallel()
	const secret = "MARKED"
	target := "/users/" + secret + "%40?userId=" + secret + "&limit=" + secret + "&cursor=" + secret + "&LIMIT=" + secret
	event := requesttest.Event("PUT", target, "{"+secret,
		"Content-Type", secret, "If-Match", secret, "If-None-Match", secret, "Idempotency-Key", secret+"\"")
	for name, err := range errorsOf(request.New(&event)) {
		if err == nil || strings.Contains(err.Error(), secret) || strings.Contains(problem.From(err).Detail, secret) {
			t.Errorf("%s: got error %v, want one without values", name, err)
		}
	}
}

// errorsOf calls the methods that parse the request, and returns their errors by name.
func errorsOf(req *request.Request) map[string]error {
	_, userID := req.UserID()
	_, _, page := req.Page()
	_, body := req.User()
	_, key := req.Idempotency()
	_, ifMatch := req.IfMatch(true)
	_, notModified := req.NotModified("a")
	return map[string]error{
		"UserID": userID, "Page": page, "User": body,
		"Idempotency": key, "IfMatch": ifMatch, "NotModified": notModified,
		"CheckNoneMatch": req.CheckNoneMatch(), "CheckQuery": req.CheckQuery(),
	}
}

func FuzzEvent(f *testing.F) {
	for _, event := range []events.APIGatewayProxyRequest{
		{},
		{PathParameters: map[string]string{"userId": ""}},
		requesttest.Event("GET", "/users/a%40b?userId=1&userId=2&limit=100&cursor=AQ", ""),
		requesttest.Event("POST", "/users/", `{"name":"Ada"}`,
			"Content-Type", "application/json; charset=utf-8", "Idempotency-Key", `"k"`, "If-None-Match", "*"),
		requesttest.Event("PUT", "/users/1", `{"n":1e5}`,
			"IF-MATCH", `W/"a", "b"`, "if-match", "*", "If-None-Match", `"c"`),
	} {
		seed, err := json.Marshal(event)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	f.Add([]byte(`{"requestContext":{"authorizer":{"claims":{"sub":1}},"identity":{"userArn":"a"}},` +
		`"multiValueHeaders":{"If-Match":null},"headers":{"if-match":""},"pathParameters":null,` +
		`"isBase64Encoded":true,"body":"e30="}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var event events.APIGatewayProxyRequest
		if json.Unmarshal(data, &event) != nil {
			t.Skip("not an event")
		}
		req := request.New(&event)
		_, _, _, _, _, _ = req.Method(), req.Operation(), req.Route(), req.ID(), req.Path(), req.Caller()
		errorsOf(req)
		id, err := req.UserID()
		if err == nil && id != "" && user.CheckKey(id) != nil {
			t.Errorf("got id %q, want a valid key", id)
		}
		if path := req.UserPath("1"); !strings.HasSuffix(path, "/1") {
			t.Errorf("got path %q, want one that ends with /1", path)
		}
		if limit, after, err := req.Page(); err == nil {
			if limit < 1 || limit > 100 {
				t.Errorf("got limit %d, want 1 to 100", limit)
			}
			if location, _ := req.NextPage(limit, after); !strings.Contains(location, "limit="+strconv.Itoa(limit)) {
				t.Errorf("got location %q, want the limit %d", location, limit)
			}
		}
		if etags, err := req.IfMatch(true); err != nil && etags != nil {
			t.Errorf("got ETags %q with error %v, want none", etags, err)
		}
	})
}

func FuzzCursor(f *testing.F) {
	for _, id := range []string{"1", "é", strings.Repeat("x", 128)} {
		_, cursor := get("/users").NextPage(1, id)
		f.Add(cursor)
	}
	f.Add("")
	f.Add("AQ==")
	f.Add("AS1dsrFb\nrgwLw6k") // package base64 ignores newlines
	f.Fuzz(func(t *testing.T, cursor string) {
		event := requesttest.Event("GET", "/users", "")
		event.MultiValueQueryStringParameters = map[string][]string{"cursor": {cursor}}
		req := request.New(&event)
		_, after, err := req.Page()
		if err != nil {
			if code(t, err) != request.InvalidParameter || after != "" {
				t.Errorf("got %q, error %v, want %s", after, err, request.InvalidParameter)
			}
			return
		}
		if _, again := req.NextPage(1, after); after == "" || again != cursor {
			t.Errorf("got %q with the cursor %q, want the cursor %q", after, again, cursor)
		}
	})
}

func TestPathParameter(t *testing.T) {
	t.Parallel()
	const route = "/users/{userId}/orders/{orderId}"
	for target, want := range map[string]struct {
		value string
		code  user.Code
	}{
		"/users/1/orders/a.b":                         {"a.b", ""},
		"/users/1/orders/%612/":                       {"a2", ""},
		"/users/1/orders/%FF":                         {"", request.InvalidParameter},
		"/users/1/orders/%2F":                         {"", request.InvalidParameter},
		"/users/1/orders/%%":                          {"", request.InvalidParameter},
		"/users/1/orders/" + strings.Repeat("x", 129): {"", request.InvalidParameter},
	} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			event := requesttest.EventAt(route, "GET", target, "")
			value, err := request.New(&event).PathParameter("orderId")
			if value != want.value || code(t, err) != want.code {
				t.Errorf("got %q and error %v, want %q and the code %q", value, err, want.value, want.code)
			}
		})
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		body, contentType string
		code              user.Code
	}{
		"object":         {`{"value": 2}`, "application/json", ""},
		"unknown member": {`{"value": 2, "other": 1}`, "application/json", user.InvalidBody},
		"wrong type":     {`{"value": "2"}`, "application/json", user.InvalidBody},
		"name twice":     {`{"value": 2, "value": 2}`, "application/json", user.InvalidBody},
		"trailing data":  {`{"value": 2} {}`, "application/json", user.InvalidBody},
		"no JSON":        {`{`, "application/json", user.InvalidBody},
		"empty":          {"", "application/json", user.InvalidBody},
		"media type":     {`{"value": 2}`, "text/plain", request.UnsupportedMediaType},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			event := requesttest.Event("POST", "/users", test.body, "Content-Type", test.contentType)
			var got struct {
				Value int `json:"value"`
			}
			err := request.New(&event).Decode(&got)
			if code(t, err) != test.code || err == nil && got.Value != 2 {
				t.Errorf("got %+v and error %v, want the code %q", got, err, test.code)
			}
		})
	}
}
