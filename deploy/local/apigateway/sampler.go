package apigateway

import (
	"math/rand/v2"
	"sync"
	"time"
)

// NewSampler returns a function that reports whether to sample a request, by an X-Ray sampling rule ("Configuring
// sampling rules"). It samples the first reservoir requests of each second, and the fraction rate (0 to 1) of the
// others. The function is safe for concurrent use.
func NewSampler(reservoir int, rate float64) func() bool {
	var (
		mu     sync.Mutex
		second int64
		used   int
	)
	return func() bool {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now().Unix(); now != second {
			second, used = now, 0
		}
		if used < reservoir {
			used++
			return true
		}
		return rand.Float64() < rate //nolint:gosec // need not be unpredictable
	}
}
