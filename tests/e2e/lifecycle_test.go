package e2e_test

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/shared/user/usertest"
)

var (
	strongTag = regexp.MustCompile(`^"[\x21\x23-\x7e]+"$`)
	uuid      = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
)

// userPath returns the path of the user in the response, below the stage.
func userPath(t *testing.T, r stacktest.Response) string {
	t.Helper()
	location := r.Header.Get("Content-Location")
	_, path, found := strings.Cut(location, "/users/")
	if !found {
		t.Fatalf("Content-Location = %q, want the path of a user; status %d, body %s", location, r.Status, r.Body)
	}
	return "/users/" + path
}

// etag returns the ETag of a response, which must be strong.
func etag(t *testing.T, r stacktest.Response) string {
	t.Helper()
	tag := r.Header.Get("ETag")
	if !strongTag.MatchString(tag) {
		t.Errorf("ETag = %s, want a strong one", tag)
	}
	return tag
}

func ifMatch(tag string) stacktest.Headers { return stacktest.Headers{"If-Match": tag} }

func ifNoneMatch(tag string) stacktest.Headers { return stacktest.Headers{"If-None-Match": tag} }

// wantHeaders checks header fields; "" means that the field is absent.
func wantHeaders(t *testing.T, r stacktest.Response, want stacktest.Headers) {
	t.Helper()
	got := stacktest.Headers{}
	for name := range want {
		got[name] = strings.Join(r.Header.Values(name), " | ")
	}
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("header (-want +got):\n%s", d)
	}
}

// TestLifeCycle creates, reads, replaces and deletes a user, with each form of its URL.
func TestLifeCycle(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	stage := "/" + s.Stage()
	for _, address := range []string{"/users/", "/users?userId="} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			sent := usertest.Body(t, `{"name": "Ada", "email": "ada@example.org", "age": 36}`)
			created := s.Do(t, "POST", "/users", sent).Want(t, 201)
			made := created.JSON(t)
			id, _ := made["userId"].(string)
			if !uuid.MatchString(id) {
				t.Fatalf("userId = %v, want a UUID", made["userId"])
			}
			first := etag(t, created)
			location := stage + "/users/" + id
			common := stacktest.Headers{
				"Content-Type": "application/json", "X-Content-Type-Options": "nosniff", "Access-Control-Allow-Origin": "*",
				"Content-Location": location,
			}
			wantHeaders(t, created, common)
			wantHeaders(t, created, stacktest.Headers{"Location": location, "Cache-Control": "no-store", "Idempotent-Replayed": ""})
			createdAt := wantTime(t, made, "createdAt")
			if updatedAt := wantTime(t, made, "updatedAt"); !updatedAt.Equal(createdAt) {
				t.Errorf("updatedAt = %v, want createdAt, %v", updatedAt, createdAt)
			}
			wantSent := func(sent string, got map[string]any) { // and the attributes of the service
				t.Helper()
				want := stacktest.Decode(t, []byte(sent))
				want["userId"], want["createdAt"], want["updatedAt"] = id, made["createdAt"], got["updatedAt"]
				if d := gocmp.Diff(normal(want), normal(got)); d != "" {
					t.Errorf("user (-sent +got):\n%s", d)
				}
			}
			wantSent(sent, made)

			path := address + id
			read := s.Do(t, "GET", path, "").Want(t, 200)
			wantHeaders(t, read, common)
			wantHeaders(t, read, stacktest.Headers{"ETag": first, "Cache-Control": "private, no-cache", "Location": ""})
			if d := gocmp.Diff(made, read.JSON(t)); d != "" {
				t.Errorf("read user differs from the created one (-created +read):\n%s", d)
			}
			head := s.Do(t, "HEAD", path, "").Want(t, 200)
			if d := gocmp.Diff(lasting(read.Header), lasting(head.Header)); d != "" || len(head.Body) != 0 {
				t.Errorf("HEAD: body of %d bytes, header (-GET +HEAD):\n%s", len(head.Body), d)
			}

			for _, tags := range []string{first, "W/" + first, "*", `"other", ` + first} {
				unchanged := s.Do(t, "GET", path, "", ifNoneMatch(tags)).Want(t, 304)
				wantHeaders(t, unchanged, stacktest.Headers{
					"ETag": first, "Cache-Control": "private, no-cache", "Content-Location": location,
				})
				if len(unchanged.Body) != 0 {
					t.Errorf("304: body = %q, want none", unchanged.Body)
				}
				s.Do(t, "HEAD", path, "", ifNoneMatch(tags)).Want(t, 304)
			}
			s.Do(t, "GET", path, "", ifNoneMatch(`"other"`)).Want(t, 200)

			replacement := usertest.Body(t, `{"name": "Ada King"}`)
			replaced := s.Do(t, "PUT", path, replacement, ifMatch(first)).Want(t, 200)
			second := etag(t, replaced)
			if second == first {
				t.Errorf("ETag after PUT = %s, want a new one", second)
			}
			wantHeaders(t, replaced, common)
			wantHeaders(t, replaced, stacktest.Headers{"Cache-Control": "no-store", "Location": ""})
			now := replaced.JSON(t)
			if updatedAt := wantTime(t, now, "updatedAt"); updatedAt.Before(createdAt) {
				t.Errorf("updatedAt = %v, want no earlier than createdAt, %v", updatedAt, createdAt)
			}
			wantSent(replacement, now)
			read = s.Do(t, "GET", path, "", ifNoneMatch(first)).Want(t, 200)
			wantHeaders(t, read, stacktest.Headers{"ETag": second})
			if d := gocmp.Diff(now, read.JSON(t)); d != "" {
				t.Errorf("read user differs from the replaced one (-replaced +read):\n%s", d)
			}

			for _, tags := range []string{first, "W/" + second, `"other", "others"`} {
				s.Do(t, "PUT", path, replacement, ifMatch(tags)).Problem(t, 412, "PreconditionFailed")
				s.Do(t, "DELETE", path, "", ifMatch(tags)).Problem(t, 412, "PreconditionFailed")
			}
			wantHeaders(t, s.Do(t, "GET", path, ""), stacktest.Headers{"ETag": second})
			third := etag(t, s.Do(t, "PUT", path, usertest.Body(t, `{"userId": "`+id+`"}`), ifMatch(`"other", `+second)).Want(t, 200))
			s.Do(t, "PUT", path, replacement, ifMatch("*")).Want(t, 200)
			s.Do(t, "PUT", path, replacement, ifMatch(third)).Problem(t, 412, "PreconditionFailed")
			// Without If-Match, the times of an earlier read are accepted: createdAt is unchanged, and updatedAt has
			// been valid.
			last := s.Do(t, "PUT", path, string(read.Body)).Want(t, 200)
			if got := last.JSON(t)["createdAt"]; got != made["createdAt"] {
				t.Errorf("createdAt = %v, want %v", got, made["createdAt"])
			}

			deleted := s.Do(t, "DELETE", path, "", ifMatch(etag(t, last))).Want(t, 204)
			wantHeaders(t, deleted, stacktest.Headers{"Cache-Control": "no-store", "ETag": ""})
			if len(deleted.Body) != 0 {
				t.Errorf("204: body = %q, want none", deleted.Body)
			}
			if item := s.Item(t, id); item != nil {
				t.Errorf("after DELETE: got item %v, want none", stacktest.Comparable(item))
			}
			s.Do(t, "GET", path, "").Problem(t, 404, "UserNotFound")
			s.Do(t, "PUT", path, replacement).Problem(t, 404, "UserNotFound")
			s.Do(t, "PUT", path, replacement, ifMatch("*")).Problem(t, 404, "UserNotFound")
			s.Do(t, "DELETE", path, "").Problem(t, 404, "UserNotFound")
			if head := s.Do(t, "HEAD", path, "").Want(t, 404); len(head.Body) != 0 {
				t.Errorf("HEAD: body = %q, want none", head.Body)
			}
			again := s.Do(t, "POST", "/users", usertest.Body(t, `{"userId": "`+id+`"}`)).Want(t, 201)
			if tag := etag(t, again); slices.Contains([]string{first, second, third}, tag) {
				t.Errorf("ETag of the new user = %s, want none of the deleted one", tag)
			}
		})
	}
}

// TestRequireIfMatch checks a stage that requires If-Match.
func TestRequireIfMatch(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t, stacktest.Parameters(map[string]string{"RequireIfMatch": "true"}))
	body := usertest.Body(t, `{"userId": "ada"}`)
	created := s.Do(t, "POST", "/users", body).Want(t, 201)
	before := s.AllItems(t)
	for _, path := range []string{"/users/ada", "/users?userId=ada"} {
		s.Do(t, "PUT", path, body).Problem(t, 428, "PreconditionRequired")
		s.Do(t, "DELETE", path, "").Problem(t, 428, "PreconditionRequired")
	}
	s.Do(t, "PUT", "/users", body).Problem(t, 428, "PreconditionRequired")
	if d := gocmp.Diff(before, s.AllItems(t)); d != "" {
		t.Errorf("the table was changed (-want +got):\n%s", d)
	}
	replaced := s.Do(t, "PUT", "/users/ada", body, ifMatch(etag(t, created))).Want(t, 200)
	s.Do(t, "PUT", "/users/ada", body, ifMatch("*")).Want(t, 200)
	s.Do(t, "DELETE", "/users/ada", "", ifMatch(etag(t, replaced))).Problem(t, 412, "PreconditionFailed")
	s.Do(t, "DELETE", "/users/ada", "", ifMatch("*")).Want(t, 204)
}

// wantTime returns a time of the service, which is RFC 3339 in UTC with milliseconds.
func wantTime(t *testing.T, user map[string]any, name string) time.Time {
	t.Helper()
	const format = "2006-01-02T15:04:05.000Z"
	str, _ := user[name].(string)
	parsed, err := time.Parse(format, str)
	if err != nil {
		t.Errorf("%s = %v, want a time such as %s", name, user[name], format)
	}
	return parsed
}

// lasting returns header without the fields that differ between responses. For each of them that header lacks, it adds
// the field Missing.
func lasting(header http.Header) http.Header {
	header = maps.Clone(header)
	for _, name := range []string{"Date", "X-Amzn-Requestid", "X-Amz-Apigw-Id", "X-Amzn-Trace-Id"} {
		if header.Get(name) == "" {
			header.Set("Missing", name)
		}
		header.Del(name)
	}
	return header
}
