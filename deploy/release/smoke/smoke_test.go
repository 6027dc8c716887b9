package smoke_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/release/smoke"
	"github.com/userrequestapi/userdata/deploy/template/caller"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service implements the API document for users in memory, and accepts only requests with an Authorization header.
type service struct {
	// before is called first, with the number of requests for this method so far. It reports whether it has responded.
	before func(w http.ResponseWriter, r *http.Request, times int) bool

	mu       sync.Mutex
	users    map[string]map[string]any
	etags    map[string]string
	requests map[string]int
	last     int // ETag
	changed  int // number of requests that have changed users
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/prod")
	s.mu.Lock()
	s.requests[r.Method]++
	times := s.requests[r.Method]
	s.mu.Unlock()
	if s.before != nil && s.before(w, r, times) {
		return
	}
	w.Header().Set("X-Amzn-Requestid", "request-1")
	if r.Header.Get("Authorization") == "" {
		problem(w, http.StatusForbidden, "MissingAuthenticationToken")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id := r.URL.Query().Get("userId")
	if named, ok := strings.CutPrefix(path, "/users/"); ok {
		id = named
	}
	var sent map[string]any
	if r.Method == http.MethodPost || r.Method == http.MethodPut {
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			problem(w, http.StatusBadRequest, "InvalidBody")
			return
		}
	}
	if r.Method == http.MethodPost {
		id, _ = sent["userId"].(string)
		s.write(w, http.StatusCreated, id, sent)
		return
	}
	if r.Method == http.MethodGet && id == "" {
		_, _ = io.WriteString(w, `{"items":[]}`)
		return
	}
	if s.users[id] == nil {
		problem(w, http.StatusNotFound, "UserNotFound")
		return
	}
	if match := r.Header.Get("If-Match"); match != "" && match != "*" && match != s.etags[id] {
		problem(w, http.StatusPreconditionFailed, "PreconditionFailed")
		return
	}
	switch r.Method {
	case http.MethodPut:
		s.write(w, http.StatusOK, id, sent)
	case http.MethodDelete:
		delete(s.users, id)
		s.changed++
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Etag", s.etags[id])
		if r.Header.Get("If-None-Match") == s.etags[id] {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_ = json.NewEncoder(w).Encode(s.users[id])
	}
}

// write stores the user. The caller holds the lock.
func (s *service) write(w http.ResponseWriter, status int, id string, user map[string]any) {
	s.last++
	s.changed++
	user["updatedAt"] = "2026-01-01T00:00:00.000Z"
	s.users[id], s.etags[id] = user, fmt.Sprintf(`"%d"`, s.last)
	w.Header().Set("Etag", s.etags[id])
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(user)
}

func problem(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	content := map[string]any{"code": code, "status": status, "detail": "ada@example.org", "requestId": "request-2"}
	_ = json.NewEncoder(w).Encode(content)
}

// serve starts the service and returns a target with signed requests.
func serve(t *testing.T) (*service, smoke.Target) {
	t.Helper()
	s := &service{users: map[string]map[string]any{}, etags: map[string]string{}, requests: map[string]int{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	document, err := contract.Read(os.DirFS("../../testdata/service/deploy"))
	if err != nil {
		t.Fatal(err)
	}
	return s, smoke.Target{
		URL:      server.URL + "/prod",
		Document: document,
		Caller: caller.Caller{
			Authorization: "AWS_IAM",
			Region:        "eu-central-1",
			Credentials:   credentials.NewStaticCredentialsProvider("AKID", "secret", "token"),
		},
		Client:   &http.Client{Transport: transport},
		Patience: 3 * time.Second,
	}
}

// empty fails the test if users remain.
func (s *service) empty(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.users {
		t.Errorf("the user %s remains", id)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	authorizations := map[string]struct {
		change func(*smoke.Target)
		want   map[string]string // headers of a request
	}{
		"AWS_IAM": {
			func(*smoke.Target) {},
			map[string]string{"Authorization": "AWS4-HMAC-SHA256 Credential=AKID/", "X-Amz-Security-Token": "token"},
		},
		"COGNITO_USER_POOLS": {
			func(target *smoke.Target) { target.Caller.Token = "Bearer abc" }, map[string]string{"Authorization": "Bearer abc"},
		},
	}
	for authorization, tt := range authorizations {
		t.Run(authorization, func(t *testing.T) {
			t.Parallel()
			s, target := serve(t)
			target.Caller.Authorization = authorization
			tt.change(&target)
			anonymous := 0
			s.before = func(_ http.ResponseWriter, r *http.Request, _ int) bool {
				if r.Header.Get("Authorization") == "" {
					anonymous++ // no lock: requests are sequential
					return false
				}
				for name, want := range tt.want {
					if got := r.Header.Get(name); !strings.HasPrefix(got, want) {
						t.Errorf("%s of %s %s = %q, want it to begin with %q", name, r.Method, r.URL, got, want)
					}
				}
				return false
			}
			var progress []string
			target.Progress = func(line string) { progress = append(progress, line) }
			if err := smoke.Run(t.Context(), target); err != nil {
				t.Fatal(err)
			}
			s.empty(t)
			if s.changed != 3 {
				t.Errorf("%d requests have changed users, want 3: POST, PUT and DELETE", s.changed)
			}
			if anonymous != 7 {
				t.Errorf("%d requests without authorization, want one of each operation at each address", anonymous)
			}
			if len(progress) != 2 || !strings.Contains(progress[0], "deleted /users/smoke-test-") {
				t.Errorf("progress = %q, want the operations and the item", progress)
			}
		})
	}
}

func TestRun_NoCredentials(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"AWS_IAM":            "no credentials",
		"COGNITO_USER_POOLS": "TOKEN",
		"API_KEY":            "an API key",
		"Custom":             `unknown authorization "Custom"`,
	}
	for authorization, want := range tests {
		t.Run(authorization, func(t *testing.T) {
			t.Parallel()
			err := smoke.Run(t.Context(), smoke.Target{
				URL: "http://127.0.0.1:1/prod", Caller: caller.Caller{Authorization: authorization},
			})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error = %v, want it to contain %q", err, want)
			}
		})
	}
}

// fault responds to one kind of request, and reports whether it did.
type fault func(w http.ResponseWriter, r *http.Request) bool

func TestRun_Faults(t *testing.T) {
	t.Parallel()
	status := func(method, header, value string, status int, code string) fault {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != method || !strings.HasPrefix(r.Header.Get(header), value) {
				return false
			}
			problem(w, status, code)
			return true
		}
	}
	tests := []struct {
		name   string
		fault  fault
		forget func(r *http.Request) // changes the request before the service handles it
		want   smoke.Failure
	}{
		{
			name:  "GET fails",
			fault: status(http.MethodGet, "Authorization", "AWS4", 502, "BadGateway"),
			want: smoke.Failure{
				Step:      "read an item that does not exist",
				Want:      "404 with a problem document",
				Got:       "502 BadGateway",
				Status:    502,
				RequestID: "request-2",
			},
		},
		{
			name: "404 without a problem document",
			fault: func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodGet || r.Header.Get("Authorization") == "" {
					return false
				}
				w.WriteHeader(http.StatusNotFound)
				_, _ = io.WriteString(w, `{"message": "Not Found"}`)
				return true
			},
			want: smoke.Failure{
				Step:   "read an item that does not exist",
				Want:   "404 with a problem document",
				Got:    "404",
				Status: 404,
			},
		},
		{
			name: "the gateway's own response",
			fault: func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("X-Amzn-Errortype", "InternalServerErrorException")
				w.Header().Set("X-Amzn-Requestid", "request-3")
				w.WriteHeader(http.StatusGatewayTimeout)
				return true
			},
			want: smoke.Failure{
				Step:      "read an item that does not exist",
				Want:      "404 with a problem document",
				Got:       "504 InternalServerErrorException",
				Status:    504,
				RequestID: "request-3",
			},
		},
		{
			name:  "POST is rejected",
			fault: status(http.MethodPost, "Authorization", "AWS4", 415, "UnsupportedMediaType"),
			want: smoke.Failure{
				Step:      "create an item",
				Want:      "201",
				Got:       "415 UnsupportedMediaType",
				Status:    415,
				RequestID: "request-2",
			},
		},
		{
			name: "no ETag",
			fault: func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPost {
					return false
				}
				w.WriteHeader(http.StatusCreated)
				_, _ = io.Copy(w, r.Body)
				return true
			},
			want: smoke.Failure{
				Step:   "create an item",
				Want:   "201 with the ETag of this state of the item",
				Got:    "201 with the ETag omitted",
				Status: 201,
			},
		},
		{
			name:   "If-None-Match is ignored",
			forget: func(r *http.Request) { r.Header.Del("If-None-Match") },
			want: smoke.Failure{
				Step:      "read the item that has not changed",
				Want:      "304",
				Got:       "200",
				Status:    200,
				RequestID: "request-1",
			},
		},
		{
			name:   "If-Match is ignored",
			forget: func(r *http.Request) { r.Header.Del("If-Match") },
			want: smoke.Failure{
				Step:      "replace the item with the previous ETag",
				Want:      "412 with a problem document",
				Got:       "200",
				Status:    200,
				RequestID: "request-1",
			},
		},
		{
			name: "If-Match is ignored by DELETE",
			forget: func(r *http.Request) {
				if r.Method == http.MethodDelete {
					r.Header.Del("If-Match")
				}
			},
			want: smoke.Failure{
				Step:      "delete the item with the previous ETag",
				Want:      "412 with a problem document",
				Got:       "204",
				Status:    204,
				RequestID: "request-1",
			},
		},
		{
			name:  "PUT fails",
			fault: status(http.MethodPut, "If-Match", `"`, 500, "InternalError"),
			want: smoke.Failure{
				Step:      "replace the item",
				Want:      "200",
				Got:       "500 InternalError",
				Status:    500,
				RequestID: "request-2",
			},
		},
		{
			name: "PUT changes nothing",
			fault: func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPut || !strings.HasPrefix(r.Header.Get("If-Match"), `"`) {
					return false
				}
				w.Header().Set("Etag", r.Header.Get("If-Match"))
				_, _ = io.Copy(w, r.Body)
				return true
			},
			want: smoke.Failure{
				Step:   "replace the item",
				Want:   "200 with the ETag of this state of the item",
				Got:    `200 with the ETag "1"`,
				Status: 200,
			},
		},
		{
			name: "PUT returns another user",
			fault: func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPut || !strings.HasPrefix(r.Header.Get("If-Match"), `"`) {
					return false
				}
				w.Header().Set("Etag", `"new"`)
				_, _ = io.WriteString(w, `{"userId":"ada@example.org"}`)
				return true
			},
			want: smoke.Failure{Step: "replace the item", Got: "200 with another", Status: 200},
		},
		{
			name: "no list",
			fault: func(w http.ResponseWriter, r *http.Request) bool {
				if !r.URL.Query().Has("limit") {
					return false
				}
				_, _ = io.WriteString(w, `[{"userId":"ada@example.org"}]`)
				return true
			},
			want: smoke.Failure{Step: "list the items", Want: "200 with a list", Got: "200 without a list", Status: 200},
		},
		{
			name: "GET without authorization is accepted",
			forget: func(r *http.Request) {
				if r.Method == http.MethodGet {
					r.Header.Set("Authorization", "none")
				}
			},
			want: smoke.Failure{
				Step:      "send without authorization (GET",
				Want:      "401 or 403",
				Got:       "200",
				Status:    200,
				RequestID: "request-1",
			},
		},
		{
			name: "DELETE without authorization is accepted",
			forget: func(r *http.Request) {
				if r.Method == http.MethodDelete {
					r.Header.Set("Authorization", "none")
				}
			},
			want: smoke.Failure{
				Step:      "send without authorization (DELETE",
				Want:      "401 or 403",
				Got:       "204",
				Status:    204,
				RequestID: "request-1",
			},
		},
		{
			name: "DELETE rejects the current ETag",
			forget: func(r *http.Request) {
				if r.Method == http.MethodDelete && r.Header.Get("If-Match") == `"2"` {
					r.Header.Set("If-Match", `"0"`)
				}
			},
			want: smoke.Failure{
				Step:      "delete the item",
				Want:      "204",
				Got:       "412 PreconditionFailed",
				Status:    412,
				RequestID: "request-1",
			},
		},
		{
			name: "a deleted user comes back",
			fault: func() fault {
				deleted := false
				return func(w http.ResponseWriter, r *http.Request) bool {
					deleted = deleted || r.Method == http.MethodDelete && r.Header.Get("If-Match") == `"2"`
					if !deleted || r.Method != http.MethodGet {
						return false
					}
					_, _ = io.WriteString(w, `{}`)
					return true
				}
			}(),
			want: smoke.Failure{Step: "read the item that was deleted", Want: "404 with a problem document", Got: "200", Status: 200},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, target := serve(t)
			s.before = func(w http.ResponseWriter, r *http.Request, _ int) bool {
				if tt.forget != nil {
					tt.forget(r)
				}
				return tt.fault != nil && tt.fault(w, r)
			}
			err := smoke.Run(t.Context(), target)
			failure, ok := errors.AsType[*smoke.Failure](err)
			if !ok {
				t.Fatalf("error = %v, want a Failure", err)
			}
			if !strings.HasPrefix(failure.Step, tt.want.Step) || !strings.HasPrefix(failure.Got, tt.want.Got) ||
				tt.want.Want != "" &&
					failure.Want != tt.want.Want || failure.Status != tt.want.Status || failure.RequestID != tt.want.RequestID {
				t.Errorf("got  %+v\nwant %+v", *failure, tt.want)
			}
			if strings.Contains(err.Error(), "ada@example.org") {
				t.Errorf("error = %v, want it without the body", err)
			}
			if !strings.Contains(err.Error(), failure.Step) || !strings.Contains(err.Error(), failure.RequestID) {
				t.Errorf("error = %v, want the step and the request id", err)
			}
			s.empty(t)
		})
	}
}

// A new stage rejects requests until it has propagated, each function independently.
func TestRun_NewStage(t *testing.T) {
	t.Parallel()
	s, target := serve(t)
	s.before = func(w http.ResponseWriter, r *http.Request, times int) bool {
		switch {
		case r.Method == http.MethodGet && times <= 3:
			problem(w, http.StatusForbidden, "Forbidden")
		case r.Method == http.MethodPut && times <= 2:
			problem(w, http.StatusInternalServerError, "StoreUnavailable")
		case r.Method == http.MethodPost && times <= 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			return false
		}
		return true
	}
	var progress []string
	target.Progress = func(line string) { progress = append(progress, line) }
	if err := smoke.Run(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	s.empty(t)
	waits := 0
	for _, line := range progress {
		if strings.Contains(line, "retrying for up to") {
			waits++
		}
	}
	if waits != 3 {
		t.Errorf("progress = %q, want the reason of each of the three waits once", progress)
	}
}

func TestRun_Forbidden(t *testing.T) {
	t.Parallel()
	s, target := serve(t)
	target.Patience = 300 * time.Millisecond
	s.before = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		problem(w, http.StatusForbidden, "Forbidden")
		return true
	}
	err := smoke.Run(t.Context(), target)
	failure, ok := errors.AsType[*smoke.Failure](err)
	if !ok || failure.Got != "403 Forbidden" || !strings.Contains(err.Error(), "execute-api:Invoke") {
		t.Errorf("error = %v, want the permission to check", err)
	}
	if s.requests[http.MethodGet] < 2 {
		t.Error("the request was not retried")
	}
	if s.requests[http.MethodDelete] > 0 {
		t.Error("a user was deleted that was never created")
	}
}

// The DNS name of a new API does not resolve at once.
func TestRun_NoAddress(t *testing.T) {
	t.Parallel()
	s, target := serve(t)
	address := strings.TrimSuffix(strings.TrimPrefix(target.URL, "http://"), "/prod")
	target.URL = "http://api.execute-api.invalid/prod"
	tries := 0
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		tries++
		if tries <= 2 {
			return nil, &net.DNSError{Err: "no such host", Name: "api.execute-api.invalid", IsNotFound: true}
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	target.Client = &http.Client{Transport: transport}
	if err := smoke.Run(t.Context(), target); err != nil {
		t.Error(err)
	}
	s.empty(t)

	tries, target.Patience = -1000, 60*time.Millisecond
	transport.CloseIdleConnections()
	err := smoke.Run(t.Context(), target)
	if _, ok := errors.AsType[*net.DNSError](err); !ok ||
		!strings.Contains(err.Error(), "read an item that does not exist") {
		t.Errorf("error = %v, want the one of the first step", err)
	}
}

// The user is deleted wherever the test is interrupted.
func TestRun_Interrupted(t *testing.T) {
	t.Parallel()
	stop := errors.New("stop pressed")
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		for _, responded := range []bool{true, false} {
			t.Run(fmt.Sprintf("at %s, responded=%t", method, responded), func(t *testing.T) {
				t.Parallel()
				s, target := serve(t)
				ctx, cancel := context.WithCancelCause(t.Context())
				s.before = func(_ http.ResponseWriter, r *http.Request, times int) bool {
					first := 1
					if method != http.MethodPost {
						first = 2 // after the one for a user that does not exist
					}
					if r.Method != method || times != first {
						return false
					}
					if !responded {
						// The request takes effect, but its response is lost.
						s.before = nil
						s.ServeHTTP(httptest.NewRecorder(), r)
						cancel(stop)
						<-r.Context().Done()
						return true
					}
					cancel(stop)
					return false
				}
				err := smoke.Run(ctx, target)
				if !errors.Is(err, stop) {
					t.Errorf("error = %v, want %v", err, stop)
				}
				s.empty(t)
			})
		}
	}
}

func TestRun_CleanUpFails(t *testing.T) {
	t.Parallel()
	s, target := serve(t)
	s.before = func(w http.ResponseWriter, r *http.Request, times int) bool {
		if r.Method != http.MethodDelete || times == 1 {
			return false
		}
		problem(w, http.StatusInternalServerError, "StoreUnavailable")
		return true
	}
	err := smoke.Run(t.Context(), target)
	var left []string
	for id := range s.users {
		left = append(left, id)
	}
	if len(left) != 1 {
		t.Fatalf("users = %q, want the one that could not be deleted", left)
	}
	for _, want := range []string{"delete the item", "clean up", "delete /users/" + left[0] + " yourself"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want it to contain %q", err, want)
		}
	}
	want := maps.Clone(target.Document.Collections()[0].Example) // whose attributes may be required
	maps.Copy(want, map[string]any{
		"userId": left[0], "purpose": "smoke test", "state": "replaced", "updatedAt": "2026-01-01T00:00:00.000Z",
	})
	if diff := cmp.Diff(want, s.users[left[0]]); diff != "" {
		t.Errorf("item (-want +got):\n%s", diff)
	}
}
