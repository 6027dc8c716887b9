// Package usage reads what a running process has used of the processor and of the memory.
package usage

import "time"

// Reading is the usage of a process since its start.
type Reading struct {
	CPU    time.Duration // user and system time of all threads
	Memory int           // peak resident memory in bytes
}
