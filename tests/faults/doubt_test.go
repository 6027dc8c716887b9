package faults_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/unreliable"
	"github.com/userrequestapi/userdata/shared/user/usertest"
)

// step is a request for the user of a test, and the status code wanted.
type step struct {
	client, method string // client is also the name in the body
	status         int
}

// TestWriteInDoubt loses the response to a write of client A while other clients send requests. A's response must
// state the outcome or that it is unknown. No write takes effect twice, or after an error that rules this out.
//
//nolint:paralleltest,tparallel // the subtests share one database, so they run sequentially
func TestWriteInDoubt(t *testing.T) {
	t.Parallel()
	const get, post, put, del = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete
	const (
		executed = iota // before the connection is reset
		dropped         // never
		delayed         // after the last step
	)
	tests := []struct {
		name      string
		method    string // of A's write
		ifMatch   bool   // whether A sends If-Match with the ETag of the existing user
		key       bool   // whether A sends an Idempotency-Key
		exists    bool   // whether the user exists before
		execution int
		meanwhile []step
		status    int // of A's response
		then      []step
		want      string // the name of the user at the end; "" for no user
	}{
		{
			name: "1: POST, replaced", method: post, execution: executed,
			meanwhile: []step{{"B", get, 200}, {"B", put, 200}}, status: 500, want: "B",
		},
		{
			name: "2: POST, deleted", method: post, execution: executed,
			meanwhile: []step{{"B", get, 200}, {"B", del, 204}, {"B", get, 404}}, status: 500, want: "",
		},
		{
			name: "3: POST, deleted and created", method: post, execution: executed,
			meanwhile: []step{{"B", del, 204}, {"B", post, 201}}, status: 500, want: "B",
		},
		{
			name: "4: POST, delayed", method: post, execution: delayed,
			meanwhile: []step{{"B", post, 201}}, status: 500, then: []step{{"B", del, 204}}, want: "A",
		},
		{
			name: "5: PUT, deleted", method: put, exists: true, execution: executed,
			meanwhile: []step{{"B", get, 200}, {"B", del, 204}}, status: 500, want: "",
		},
		{
			name: "6: PUT with If-Match, deleted", method: put, ifMatch: true, exists: true, execution: executed,
			meanwhile: []step{{"B", get, 200}, {"B", del, 204}}, status: 500, want: "",
		},
		{
			name: "6: PUT with If-Match, replaced", method: put, ifMatch: true, exists: true, execution: executed,
			meanwhile: []step{{"B", get, 200}, {"B", put, 200}}, status: 500, want: "B",
		},
		{
			name: "7: PUT, deleted and created", method: put, exists: true, execution: executed,
			meanwhile: []step{{"B", get, 200}, {"B", del, 204}, {"C", post, 201}}, status: 500, want: "C",
		},
		{
			name: "8: DELETE with If-Match, replaced and deleted", method: del, ifMatch: true, exists: true, execution: dropped,
			meanwhile: []step{{"B", put, 200}, {"B", del, 204}}, status: 500, want: "",
		},
		{
			name: "9: POST with Idempotency-Key, deleted", method: post, key: true, execution: executed,
			meanwhile: []step{{"B", get, 200}, {"B", del, 204}}, status: 500,
			then: []step{{"A", get, 404}, {"A", post, 201}}, want: "A",
		},
		{name: "POST, executed", method: post, execution: executed, status: 201, want: "A"},
		{name: "POST, not executed", method: post, execution: dropped, status: 500, want: ""},
		{
			name: "POST, created by another", method: post, execution: dropped,
			meanwhile: []step{{"B", post, 201}}, status: 500, want: "B",
		},
		{
			name: "POST with Idempotency-Key, replaced", method: post, key: true, execution: executed,
			meanwhile: []step{{"B", put, 200}}, status: 201, want: "B",
		},
		{
			name: "POST with Idempotency-Key, created by the same request", method: post, key: true, execution: delayed,
			meanwhile: []step{{"A", post, 201}}, status: 500, then: []step{{"B", del, 204}}, want: "A",
		},
		{name: "PUT, executed", method: put, exists: true, execution: executed, status: 200, want: "A"},
		{
			name: "PUT, delayed", method: put, exists: true, execution: delayed, status: 200,
			then: []step{{"B", put, 200}}, want: "B",
		},
		{name: "DELETE, executed", method: del, exists: true, execution: executed, status: 204, want: ""},
		{
			name: "DELETE with If-Match, executed", method: del, ifMatch: true, exists: true, execution: executed,
			status: 500, want: "",
		},
		{
			name: "DELETE, deleted by another", method: del, exists: true, execution: dropped,
			meanwhile: []step{{"B", put, 200}, {"B", del, 204}}, status: 204, want: "",
		},
		{
			name: "DELETE, deleted and created", method: del, exists: true, execution: executed,
			meanwhile: []step{{"B", post, 201}}, status: 500, want: "B",
		},
	}
	p := unreliable.NewDatabase(t)
	s := startWarm(t, p, "warm") // cold starts could exceed the timeout of A's attempt
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id := strings.Map(func(r rune) rune {
				if strings.ContainsRune(" :,", r) {
					return '-'
				}
				return r
			}, tt.name)
			etags := map[string]bool{}
			send := func(st step, headers ...stacktest.Headers) stacktest.Response {
				path, body := "/users/"+id, usertest.Body(t, `{"userId":"`+id+`","name":"`+st.client+`"}`)
				switch st.method {
				case post:
					path = "/users"
				case get, del:
					body = ""
				}
				if tt.key && st.client == "A" && st.method == post {
					headers = append(headers, stacktest.Headers{"Idempotency-Key": id})
				}
				res := s.Do(t, st.method, path, body, headers...).Want(t, st.status)
				replayed := res.Header.Get("Idempotent-Replayed") != ""
				if etag := res.Header.Get("Etag"); st.method != get && !replayed && etag != "" {
					if etags[etag] {
						t.Errorf("%v: got the ETag %s of an earlier write, want a new one", st, etag)
					}
					etags[etag] = true
				}
				return res
			}
			headers := stacktest.Headers{}
			if tt.exists {
				etag := send(step{"before", post, 201}).Header.Get("Etag")
				if tt.ifMatch {
					headers["If-Match"] = etag
				}
			}
			operation := "PutItem"
			if tt.method == del {
				operation = "DeleteItem"
			}
			executeDelayed := func() {}
			p.Interrupt(operation, func(execute func()) {
				switch tt.execution {
				case executed:
					execute()
				case delayed:
					executeDelayed = execute
				}
				for _, st := range tt.meanwhile {
					send(st)
				}
			})
			res := send(step{"A", tt.method, tt.status}, headers)
			if tt.status == http.StatusInternalServerError {
				detail := res.Problem(t, tt.status, "StoreUnavailable").Detail
				if !strings.Contains(detail, "unknown") || !strings.Contains(detail, "Read the user") {
					t.Errorf("got detail %q, want an unknown outcome and to read the user", detail)
				}
			}
			for _, st := range tt.then {
				send(st)
			}
			executeDelayed()
			var got string
			if now := s.Do(t, get, "/users/"+id, ""); now.Status == http.StatusOK {
				got, _ = now.JSON(t)["name"].(string)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("name of the user at the end (-want +got):\n%s", d)
			}
		})
	}
	wantNoFaults(t, s)
}
