// Package quota limits a process to the share of a processor that Lambda gives a function, or estimates durations with
// that share.
package quota

import "time"

const (
	// fullMB is the memory size with which a function has one processor ("Configure Lambda function memory" in the AWS
	// Lambda Developer Guide).
	fullMB = 1769
	// Period is the period of the quota. Lambda's is not documented; measurements from within functions found 20 ms.
	Period = 20 * time.Millisecond
)

// share returns the share of one processor that a function with the memory size has, at most 1.
func share(memoryMB int) float64 { return min(float64(memoryMB)/fullMB, 1) }

// perPeriod returns the processor time that the function may use in a [Period].
func perPeriod(memoryMB int) time.Duration { return time.Duration(share(memoryMB) * float64(Period)) }

// Duration estimates the duration of work with the memory size. On a whole processor, the work has the duration wall
// and the processor time cpu. The processor time beyond the quota of the first period is spread over the following
// periods.
func Duration(memoryMB int, wall, cpu time.Duration) time.Duration {
	beyond := max(cpu-perPeriod(memoryMB), 0)
	return wall + time.Duration(float64(beyond)*(1/share(memoryMB)-1))
}
