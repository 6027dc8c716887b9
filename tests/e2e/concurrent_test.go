package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local"
	"github.com/userrequestapi/userdata/shared/user/usertest"
)

// inFlight is the maximum number of concurrent requests. It equals the number of execution environments, beyond which
// Lambda throttles requests.
const inFlight = 10

func environments(count int) func(*local.Config) {
	return func(cfg *local.Config) { cfg.Environments = count }
}

// clients runs count clients concurrently, with at most limit concurrent requests.
func clients(count, limit int, client func(i int, do func(request func()))) {
	free := make(chan struct{}, limit)
	do := func(request func()) {
		free <- struct{}{}
		defer func() { <-free }()
		request()
	}
	var running sync.WaitGroup
	for i := range count {
		running.Go(func() { client(i, do) })
	}
	running.Wait()
}

// TestIncrement has clients that read a counter, increment it, and write it with If-Match until that succeeds. Most
// attempts fail, so the number of requests grows faster than that of clients.
func TestIncrement(t *testing.T) {
	t.Parallel()
	for _, count := range []int{15, 50} {
		t.Run(fmt.Sprintf("%d clients", count), func(t *testing.T) {
			t.Parallel()
			if count > 15 {
				testenv.SkipUnlessAll(t)
			}
			testIncrement(t, count)
		})
	}
}

func testIncrement(t *testing.T, count int) {
	t.Helper()
	s := stacktest.Start(t, environments(inFlight+2))
	body := usertest.Body(t, `{"userId": "counter", "count": 0}`)
	created := s.Do(t, "POST", "/users", body).Want(t, 201).JSON(t)
	clients(count, inFlight, func(_ int, do func(func())) {
		for range 100 * count { // far more than necessary
			var read, replaced stacktest.Response
			do(func() { read = s.Do(t, "GET", "/users/counter", "") })
			user := read.Want(t, 200).JSON(t)
			number, _ := user["count"].(json.Number)
			before, err := strconv.Atoi(number.String())
			if err != nil {
				t.Errorf("count = %v, want a whole number", user["count"])
				return
			}
			user["count"] = before + 1
			body, err := json.Marshal(user)
			if err != nil {
				t.Error(err)
				return
			}
			do(func() { replaced = s.Do(t, "PUT", "/users/counter", string(body), ifMatch(read.Header.Get("ETag"))) })
			if replaced.Status != 412 {
				replaced.Want(t, 200)
				return
			}
			replaced.Problem(t, 412, "PreconditionFailed")
		}
		t.Errorf("got a 412 in each of %d attempts of a client, want a success", 100*count)
	})
	got := s.Do(t, "GET", "/users/counter", "").Want(t, 200).JSON(t)
	want := maps.Clone(created)
	want["count"], want["updatedAt"] = json.Number(strconv.Itoa(count)), got["updatedAt"]
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("after %d increments (-want +got):\n%s", count, d)
	}
}

// TestReplaceWithoutIfMatch has 50 clients that replace one user concurrently. The last write wins, and the service's
// own attributes are kept.
func TestReplaceWithoutIfMatch(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t, environments(inFlight+2))
	created := s.Do(t, "POST", "/users", usertest.Body(t, `{"userId": "ada"}`)).Want(t, 201).JSON(t)
	const count = 50
	responses := make([]stacktest.Response, count)
	replacement := func(i int) string { return usertest.Body(t, fmt.Sprintf(`{"client": %d}`, i)) }
	clients(count, inFlight, func(i int, do func(func())) {
		body := replacement(i)
		for range 100 * count { // far more than necessary
			var r stacktest.Response
			do(func() { r = s.Do(t, "PUT", "/users/ada", body) })
			if r.Status != 503 {
				responses[i] = r.Want(t, 200)
				return
			}
			r.Problem(t, 503, "StoreThrottled")
			wantHeaders(t, r, stacktest.Headers{"Retry-After": "1"})
		}
		t.Errorf("got a 503 in each of %d attempts of a client, want a success", 100*count)
	})
	byETag := map[string]stacktest.Response{}
	for i, r := range responses {
		user := r.JSON(t)
		want := stacktest.Decode(t, []byte(replacement(i)))
		want["userId"], want["createdAt"], want["updatedAt"] = "ada", created["createdAt"], user["updatedAt"]
		if d := gocmp.Diff(normal(want), normal(user)); d != "" {
			t.Errorf("client %d (-want +got):\n%s", i, d)
		}
		byETag[etag(t, r)] = r
	}
	if len(byETag) != count {
		t.Errorf("got %d different ETags, want %d, one for each write", len(byETag), count)
	}
	last := s.Do(t, "GET", "/users/ada", "").Want(t, 200)
	winner, ok := byETag[etag(t, last)]
	if !ok {
		t.Fatalf("got the stored user %s, want one with the ETag of a response", last.Body)
	}
	if d := gocmp.Diff(winner.JSON(t), last.JSON(t)); d != "" {
		t.Errorf("stored user differs from the response with its ETag (-response +stored):\n%s", d)
	}
}

// TestCreateAtOnce repeatedly sends two concurrent POSTs with the same ID.
func TestCreateAtOnce(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	for round := range 30 {
		id := fmt.Sprintf("user-%d", round)
		responses := atOnce(2, func(i int) stacktest.Response {
			return s.Do(t, "POST", "/users", usertest.Body(t, fmt.Sprintf(`{"userId": %q, "client": %d}`, id, i)))
		})
		slices.SortFunc(responses, func(a, b stacktest.Response) int { return a.Status - b.Status })
		responses[0].Want(t, 201)
		responses[1].Problem(t, 409, "UserExists")
		read := s.Do(t, "GET", "/users/"+id, "").Want(t, 200)
		wantHeaders(t, read, stacktest.Headers{"ETag": etag(t, responses[0])})
		if d := gocmp.Diff(responses[0].JSON(t), read.JSON(t)); d != "" {
			t.Errorf("stored user differs from the response (-response +stored):\n%s", d)
		}
	}
}

// atOnce calls f count times concurrently and returns the responses.
func atOnce(count int, f func(i int) stacktest.Response) []stacktest.Response {
	responses := make([]stacktest.Response, count)
	start := make(chan struct{})
	var running sync.WaitGroup
	for i := range count {
		running.Go(func() {
			<-start
			responses[i] = f(i)
		})
	}
	close(start)
	running.Wait()
	return responses
}
