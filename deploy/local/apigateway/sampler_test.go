package apigateway_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/userrequestapi/userdata/deploy/local/apigateway"
)

func TestSampler(t *testing.T) {
	t.Parallel()
	const perSecond, seconds = 1000, 10
	for name, test := range map[string]struct {
		reservoir   int
		rate        float64
		least, most int64
	}{
		"none":                {0, 0, 0, 0},
		"all":                 {0, 1, perSecond * seconds, perSecond * seconds},
		"reservoir only":      {3, 0, 3 * seconds, 3 * seconds},
		"reservoir too large": {2 * perSecond, 0, perSecond * seconds, perSecond * seconds},
		"reservoir and rate":  {100, 0.5, 5100, 5900}, // 5500 on average, with a standard deviation of 47
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sample := apigateway.NewSampler(test.reservoir, test.rate)
				var sampled atomic.Int64
				for range seconds {
					var requests sync.WaitGroup
					for range 10 {
						requests.Go(func() {
							for range perSecond / 10 {
								if sample() {
									sampled.Add(1)
								}
							}
						})
					}
					requests.Wait()
					time.Sleep(time.Second)
				}
				if got := sampled.Load(); got < test.least || got > test.most {
					t.Errorf("%d sampled requests, want %d to %d", got, test.least, test.most)
				}
			})
		})
	}
}

// Sample is called only for requests without a sampling decision.
func TestSampleCalls(t *testing.T) {
	t.Parallel()
	const root = "Root=1-5759e988-bd862e3fe1be46a994272793"
	for header, test := range map[string]struct {
		sample, sampled bool
		calls           int64
	}{
		root + ";Sampled=1": {false, true, 0},
		root + ";Sampled=0": {true, false, 0},
		root:                {true, true, 1},
		root + ";Sampled=?": {false, false, 1},
		"Sampled=1":         {false, false, 1},
	} {
		t.Run(header, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int64
			s := serve(t, catchAll(), respondWith(`{}`), func(c *apigateway.Config) {
				c.Sample = func() bool { calls.Add(1); return test.sample }
			})
			s.do("GET", "/", "", "X-Amzn-Trace-Id", header)
			if got := s.record().Trace; got.Sampled != test.sampled || calls.Load() != test.calls {
				t.Errorf("got trace %+v after %d calls, want sampled %t after %d", got, calls.Load(), test.sampled, test.calls)
			}
		})
	}
}
