package linearizability_test

import (
	"testing"

	"github.com/anishathalye/porcupine"
)

// TestModel checks that the model rejects histories that are not linearizable.
func TestModel(t *testing.T) {
	t.Parallel()
	post := func(value int) request { return request{method: "POST", value: value} }
	keyed := func(value int) request { return request{method: "POST", value: value, key: "k"} }
	put := func(value int) request { return request{method: "PUT", value: value} }
	is := func(status, value int, etag string) result {
		return result{status: status, user: user{exists: true, value: value, etag: etag}}
	}
	replayed := func(value int, etag string) result {
		return result{status: 201, replayed: true, user: user{exists: true, value: value, etag: etag}}
	}
	get, del, unknown := request{method: "GET"}, request{method: "DELETE"}, result{}
	matching := func(req request, value int, etag string) request {
		req.ifMatch = &user{exists: true, value: value, etag: etag}
		return req
	}
	type event struct {
		req request
		res result
	}
	for _, tt := range []struct {
		name   string
		events []event // sequential, but those with unknown outcome have no end
		want   bool
	}{
		{"no events", nil, true},
		{"create, read, replace, delete", []event{
			{post(1), is(201, 1, "a")}, {get, is(200, 1, "a")}, {put(2), is(200, 2, "b")},
			{del, result{status: 204}}, {get, result{status: 404}},
		}, true},
		{"effect of a refused request", []event{
			{post(1), is(201, 1, "a")}, {post(2), result{status: 409}}, {get, is(200, 2, "b")},
		}, false},
		{"409 without a user, then effect", []event{{post(1), result{status: 409}}, {get, is(200, 1, "a")}}, false},
		{"user after a delete", []event{
			{post(1), is(201, 1, "a")}, {del, result{status: 204}}, {get, is(200, 1, "a")},
		}, false},
		{"unknown, takes effect later", []event{
			{post(1), unknown}, {get, result{status: 404}}, {get, is(200, 1, "a")},
		}, true},
		{"unknown, takes effect twice", []event{
			{post(1), unknown}, {get, is(200, 1, "a")}, {del, result{status: 204}}, {get, result{status: 404}},
			{get, is(200, 1, "a")},
		}, false},
		{"unknown, never takes effect", []event{{put(1), unknown}, {post(2), is(201, 2, "a")}, {get, is(200, 2, "a")}}, true},
		{"200 to a PUT of a missing user", []event{
			{post(1), is(201, 1, "a")}, {del, result{status: 204}}, {put(2), is(200, 2, "b")},
		}, false},
		{"404 of an existing user", []event{{post(1), is(201, 1, "a")}, {put(2), result{status: 404}}}, false},
		{"412 although If-Match matches", []event{
			{post(1), is(201, 1, "a")}, {matching(put(2), 1, "a"), result{status: 412}},
		}, false},
		{"412", []event{
			{post(1), is(201, 1, "a")}, {put(2), is(200, 2, "b")}, {matching(put(3), 1, "a"), result{status: 412}},
		}, true},
		{"200 although If-Match does not match", []event{
			{post(1), is(201, 1, "a")}, {put(2), is(200, 2, "b")}, {matching(put(3), 1, "a"), is(200, 3, "c")},
		}, false},
		{"204 with If-Match of a deleted user", []event{
			{post(1), is(201, 1, "a")}, {del, result{status: 204}}, {matching(del, 1, "a"), result{status: 204}},
		}, false},
		{"replayed", []event{{keyed(1), unknown}, {put(2), is(200, 2, "b")}, {keyed(1), replayed(2, "b")}}, true},
		{"replayed after another request", []event{{post(1), is(201, 1, "a")}, {keyed(2), replayed(1, "a")}}, false},
		{"409 to the request that created the user", []event{
			{keyed(1), is(201, 1, "a")}, {keyed(1), result{status: 409}},
		}, false},
		{"new ETag without a write", []event{{post(1), is(201, 1, "a")}, {get, is(200, 1, "b")}}, false},
		{"undefined status code", []event{{get, result{status: 418}}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var history []porcupine.Operation
			for i, e := range tt.events {
				o := porcupine.Operation{ClientId: i, Input: e.req, Output: e.res, Call: int64(2 * i), Return: int64(2*i + 1)}
				if e.res.status == 0 {
					o.Return = noReturn
				}
				history = append(history, o)
			}
			if got := porcupine.CheckOperations(newModel(), history); got != tt.want {
				t.Errorf("got linearizable = %t, want %t", got, tt.want)
			}
		})
	}
}
