package lambda

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// peakMemory returns the peak of a process's resident memory in bytes; 0 when it is not known: the process has ended, or
// the platform has no /proc. (The maxrss that wait4 reports is no substitute: it starts with the size of this process.)
func peakMemory(pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	value, _, _ := bytes.Cut(rest, []byte("kB"))
	kilobytes, err := strconv.Atoi(string(bytes.TrimSpace(value)))
	if err != nil {
		return 0
	}
	return kilobytes << 10
}
