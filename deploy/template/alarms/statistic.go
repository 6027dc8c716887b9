package alarms

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
)

// number is a value at a time. If it is missing, value is 0.
type number struct {
	value   float64
	missing bool
	scalar  bool // a constant, not a value of a time series
}

// statistic is a statistic of a metric.
type statistic struct {
	of    func(samples []Sample) number // samples are sorted by value
	least int                           // the fewest samples with which a percentile is significant
}

var (
	percentile     = regexp.MustCompile(`^p(\d{1,2}(?:\.\d+)?)$`)
	percentileRank = regexp.MustCompile(`^PR\(([^:]*):([^:]*)\)$`)
)

func parseStatistic(name string) (statistic, error) {
	simple := map[string]func(samples []Sample) float64{
		"SampleCount": func(samples []Sample) float64 { return float64(count(samples)) },
		"Sum":         sum,
		"Average":     func(samples []Sample) float64 { return sum(samples) / float64(count(samples)) },
		"Minimum":     func(samples []Sample) float64 { return samples[0].Value },
		"Maximum":     func(samples []Sample) float64 { return samples[len(samples)-1].Value },
	}
	of, ok := simple[name]
	s := statistic{}
	if match := percentile.FindStringSubmatch(name); match != nil {
		share, err := strconv.ParseFloat(match[1], 64)
		if err != nil {
			return s, fmt.Errorf("the statistic %q: %w", name, err)
		}
		share /= 100
		s.least = int(math.Ceil(10 / min(share, 1-share)))
		of, ok = func(samples []Sample) float64 { return rank(samples, share) }, true
	}
	if match := percentileRank.FindStringSubmatch(name); match != nil {
		low, lowErr := bound(match[1], math.Inf(-1))
		high, highErr := bound(match[2], math.Inf(1))
		if err := errors.Join(lowErr, highErr); err != nil {
			return s, fmt.Errorf("the statistic %q: want numbers, such as PR(100:2000), PR(:300) or PR(10:): %w", name, err)
		}
		of, ok = func(samples []Sample) float64 { return 100 * shareWithin(samples, low, high) }, true
	}
	if !ok {
		return s, fmt.Errorf("the statistic %q is not supported", name)
	}
	s.of = func(samples []Sample) number {
		if count(samples) == 0 {
			return number{missing: true}
		}
		return number{value: of(samples)}
	}
	return s, nil
}

// bound returns a bound of a percentile rank, which may be absent.
func bound(digits string, absent float64) (float64, error) {
	if digits == "" {
		return absent, nil
	}
	return strconv.ParseFloat(digits, 64)
}

func count(samples []Sample) int {
	n := 0
	for _, s := range samples {
		n += s.Count
	}
	return n
}

func sum(samples []Sample) float64 {
	total := 0.0
	for _, s := range samples {
		total += s.Value * float64(s.Count)
	}
	return total
}

// rank returns the value below or at which a share of the samples is.
func rank(samples []Sample, share float64) float64 {
	wanted := int(math.Ceil(share * float64(count(samples))))
	for _, s := range samples {
		if wanted -= s.Count; wanted <= 0 {
			return s.Value
		}
	}
	return samples[len(samples)-1].Value
}

// shareWithin returns the share of the samples above low, and up to and including high.
func shareWithin(samples []Sample, low, high float64) float64 {
	within := 0
	for _, s := range samples {
		if s.Value > low && s.Value <= high {
			within += s.Count
		}
	}
	return float64(within) / float64(count(samples))
}
