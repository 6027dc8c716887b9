package linearizability_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/unreliable"
	"github.com/userrequestapi/userdata/shared/client"
	"github.com/userrequestapi/userdata/shared/user/usertest"
)

// TestCounter increments a counter with 50 Go clients while the database fails. No acknowledged increment is lost,
// and no refused increment takes effect.
func TestCounter(t *testing.T) {
	t.Parallel()
	const clients, increments = 50, 2
	p := unreliable.NewDatabase(t)
	s := stacktest.Start(t, p.With, stacktest.Parameters(map[string]string{"ReservedConcurrency": strconv.Itoa(clients)}))
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := client.New(s.URL, client.WithHTTPClient(&http.Client{Transport: transport}))
	if err != nil {
		t.Fatal(err)
	}
	const id = "counter"
	var zero client.UserInput
	if err := json.Unmarshal([]byte(usertest.Body(t, `{"userId": "`+id+`", "n": 0}`)), &zero); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateUser(t.Context(), zero, ""); err != nil {
		t.Fatal(err)
	}
	seed := workloadFromFlags().seed
	var acknowledged, unknown, refused, faults atomic.Int64
	chooseFault := randomFaults(seed)
	p.Fail(func(operation string) unreliable.Fault {
		f := chooseFault(operation)
		if f != unreliable.None {
			faults.Add(1)
		}
		return f
	})
	var running sync.WaitGroup
	for range clients {
		running.Go(func() {
			for range increments {
				_, err := c.UpdateUser(t.Context(), id, func(user *client.UserInput) error {
					n, err := strconv.Atoi(string(user.AdditionalProperties["n"]))
					user.AdditionalProperties["n"] = json.RawMessage(strconv.Itoa(n + 1))
					return err
				})
				switch {
				case err == nil:
					acknowledged.Add(1)
				case client.OutcomeUnknown(err):
					unknown.Add(1)
				default:
					refused.Add(1)
				}
			}
		})
	}
	running.Wait()
	p.Fail(nil)
	p.WaitDelayed()
	now, err := c.GetUser(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseInt(string(now.AdditionalProperties["n"]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("seed %d, %d faults: %d acknowledged, %d unknown, %d refused; counter %d",
		seed, faults.Load(), acknowledged.Load(), unknown.Load(), refused.Load(), n)
	if n < acknowledged.Load() || n > acknowledged.Load()+unknown.Load() {
		t.Errorf("got counter %d, want %d to %d", n, acknowledged.Load(), acknowledged.Load()+unknown.Load())
	}
	if acknowledged.Load() == 0 {
		t.Error("got no acknowledged increment, want some")
	}
	if faults.Load() == 0 {
		t.Error("got no fault of the database, want some")
	}
}
