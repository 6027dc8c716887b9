package lambda

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// peakMemory returns the peak resident memory of a process in bytes. It returns 0 if the process has ended or the
// platform has no /proc. (The maxrss of wait4 is no substitute: it includes the size of the parent before exec.)
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
