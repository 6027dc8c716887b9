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
		reservoir    int
		rate         float64
		fewest, most int64
	}{
		"none":                 {0, 0, 0, 0},
		"all":                  {0, 1, perSecond * seconds, perSecond * seconds},
		"reservoir alone":      {3, 0, 3 * seconds, 3 * seconds},
		"reservoir too large":  {2 * perSecond, 0, perSecond * seconds, perSecond * seconds},
		"reservoir and a half": {100, 0.5, 5100, 5900}, // 5500 on average, with a standard deviation of 47
	} {
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
			if got := sampled.Load(); got < test.fewest || got > test.most {
				t.Errorf("%s: %d were sampled, want %d to %d", name, got, test.fewest, test.most)
			}
		})
	}
}

// TestSampleDecides sees that only those requests are decided on that bring no decision.
func TestSampleDecides(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	function := &recorder{}
	s := serve(t, anything(), function, func(c *apigateway.Config) {
		c.Sample = func() bool { return asked.Add(1) == 1 }
	})
	const root = "Root=1-5759e988-bd862e3fe1be46a994272793"
	for _, test := range []struct {
		header  string
		sampled bool
		asked   int64
	}{
		{root + ";Sampled=1", true, 0},
		{root + ";Sampled=0", false, 0},
		{root, true, 1},
		{root + ";Sampled=?", false, 2},
		{"Sampled=1", false, 3},
	} {
		s.do("GET", "/", "", "X-Amzn-Trace-Id", test.header)
		if got := s.record().Trace; got.Sampled != test.sampled || asked.Load() != test.asked {
			t.Errorf("%s: %+v after %d questions, want %d", test.header, got, asked.Load(), test.asked)
		}
	}
}
