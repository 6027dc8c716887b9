package usage

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Supported reports whether this operating system can be asked about another process.
const Supported = true

// CPU returns the processor time of a process with a resolution of nanoseconds, unlike /proc/<pid>/stat.
func CPU(pid int) (time.Duration, error) {
	// The clock that clock_getcpuclockid(3) returns: ~pid and CPUCLOCK_SCHED.
	clock := int32(^pid<<3 | 2) //nolint:gosec // process ids have at most 22 bits
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return 0, fmt.Errorf("read the processor time of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// Read returns the usage of a process.
func Read(pid int) (Reading, error) {
	cpu, err := CPU(pid)
	if err != nil {
		return Reading{}, err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Reading{}, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	value, _, _ := bytes.Cut(rest, []byte("kB"))
	kilobytes, err := strconv.Atoi(string(bytes.TrimSpace(value)))
	if err != nil {
		return Reading{}, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	return Reading{CPU: cpu, Memory: kilobytes << 10}, nil
}
