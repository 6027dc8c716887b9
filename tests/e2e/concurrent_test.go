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

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local"
	"github.com/userrequestapi/userdata/tests/stacktest"
)

// inFlight is how many requests the clients of these tests send at once. Beyond its environments Lambda refuses requests,
// which is not what these tests are about.
const inFlight = 10

func environments(count int) func(*local.Config) {
	return func(cfg *local.Config) { cfg.Environments = count }
}

// clients runs count clients at once, of which most at a time have a request on its way.
func clients(count, most int, client func(i int, do func(request func()))) {
	free := make(chan struct{}, most)
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

// TestIncrement has clients that each read a counter, add one, and send it back with If-Match until that succeeds. Most attempts are
// in vain: the number of requests grows faster than that of the clients.
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
	created := s.Do(t, "POST", "/users", `{"userId": "counter", "count": 0, "name": "Ada"}`).Want(t, 201).JSON(t)
	clients(count, inFlight, func(_ int, do func(func())) {
		for range 100 * count { // far more than it takes
			var read, replaced stacktest.Response
			do(func() { read = s.Do(t, "GET", "/users/counter", "") })
			user := read.Want(t, 200).JSON(t)
			number, _ := user["count"].(json.Number)
			before, err := strconv.Atoi(number.String())
			if err != nil {
				t.Errorf("count is %v", user["count"])
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
		t.Error("a client never came through")
	})
	got := s.Do(t, "GET", "/users/counter", "").Want(t, 200).JSON(t)
	want := maps.Clone(created)
	want["count"], want["updatedAt"] = json.Number(strconv.Itoa(count)), got["updatedAt"]
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("after %d increments (-want +got):\n%s", count, d)
	}
}

// TestReplaceWithoutIfMatch has 50 clients that replace one user at once. The last one wins, and nothing of the service's is lost.
func TestReplaceWithoutIfMatch(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t, environments(inFlight+2))
	created := s.Do(t, "POST", "/users", `{"userId": "ada"}`).Want(t, 201).JSON(t)
	const count = 50
	answers := make([]stacktest.Response, count)
	clients(count, inFlight, func(i int, do func(func())) {
		body := fmt.Sprintf(`{"client": %d}`, i)
		for range 100 * count { // far more than it takes
			var r stacktest.Response
			do(func() { r = s.Do(t, "PUT", "/users/ada", body) })
			if r.Status != 503 {
				answers[i] = r.Want(t, 200)
				return
			}
			r.Problem(t, 503, "StoreThrottled")
			wantHeaders(t, r, stacktest.Headers{"Retry-After": "1"})
		}
		t.Error("a client never came through")
	})
	byTag := map[string]stacktest.Response{}
	for i, r := range answers {
		user := r.JSON(t)
		want := map[string]any{
			"userId": "ada", "client": json.Number(strconv.Itoa(i)), "createdAt": created["createdAt"], "updatedAt": user["updatedAt"],
		}
		if d := gocmp.Diff(want, user); d != "" {
			t.Errorf("client %d (-want +got):\n%s", i, d)
		}
		byTag[etag(t, r)] = r
	}
	if len(byTag) != count {
		t.Errorf("%d writes got %d different ETags", count, len(byTag))
	}
	last := s.Do(t, "GET", "/users/ada", "").Want(t, 200)
	winner, ok := byTag[etag(t, last)]
	if !ok {
		t.Fatalf("what is stored has the ETag of no answer: %s", last.Body)
	}
	if d := gocmp.Diff(winner.JSON(t), last.JSON(t)); d != "" {
		t.Errorf("what is stored differs from the answer with its ETag (-want +got):\n%s", d)
	}
}

// TestCreateAtOnce sends two POSTs of one id at once, over and over.
func TestCreateAtOnce(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	for round := range 30 {
		id := fmt.Sprintf("user-%d", round)
		answers := atOnce(2, func(i int) stacktest.Response {
			return s.Do(t, "POST", "/users", fmt.Sprintf(`{"userId": %q, "client": %d}`, id, i))
		})
		slices.SortFunc(answers, func(a, b stacktest.Response) int { return a.Status - b.Status })
		answers[0].Want(t, 201)
		answers[1].Problem(t, 409, "UserExists")
		read := s.Do(t, "GET", "/users/"+id, "").Want(t, 200)
		wantHeaders(t, read, stacktest.Headers{"ETag": etag(t, answers[0])})
		if d := gocmp.Diff(answers[0].JSON(t), read.JSON(t)); d != "" {
			t.Errorf("what is stored differs from what was answered (-want +got):\n%s", d)
		}
	}
}

// atOnce calls f count times at once and returns what each call returned.
func atOnce(count int, f func(i int) stacktest.Response) []stacktest.Response {
	answers := make([]stacktest.Response, count)
	start := make(chan struct{})
	var running sync.WaitGroup
	for i := range count {
		running.Go(func() {
			<-start
			answers[i] = f(i)
		})
	}
	close(start)
	running.Wait()
	return answers
}
