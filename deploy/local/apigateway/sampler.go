package apigateway

import (
	"math/rand/v2"
	"sync"
	"time"
)

// NewSampler returns what decides whether a request that nobody has decided on is traced, by the rule of X-Ray ("Configuring
// sampling rules"): the first ones of each second, as many as the reservoir has, and of the others a share, 0 to 1. It may
// be called from several goroutines.
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
		return rand.Float64() < rate //nolint:gosec // nothing depends on its being secret
	}
}
