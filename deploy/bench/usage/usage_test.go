package usage_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/userrequestapi/userdata/deploy/bench/usage"
)

// TestCPU checks that work adds to the processor time.
func TestCPU(t *testing.T) {
	t.Parallel()
	before, err := usage.CPU(os.Getpid())
	if checkUnsupported(t, err) {
		return
	}
	for { // the test's deadline ends it
		cpu, err := usage.CPU(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if cpu-before > 100*time.Microsecond {
			return
		}
	}
}

func TestPeakMemory(t *testing.T) {
	t.Parallel()
	got, err := usage.PeakMemory(os.Getpid())
	if checkUnsupported(t, err) {
		return
	}
	if got < 1<<20 {
		t.Errorf("PeakMemory = %d bytes, want at least a MiB", got)
	}
}

// checkUnsupported checks the error, and reports whether this operating system is not supported.
func checkUnsupported(t *testing.T, err error) bool {
	t.Helper()
	if !usage.Supported && !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error = %v, want %v", err, errors.ErrUnsupported)
	}
	if usage.Supported && err != nil {
		t.Fatal(err)
	}
	return !usage.Supported
}

func TestCPU_Ended(t *testing.T) {
	t.Parallel()
	if cpu, err := usage.CPU(1 << 22); err == nil {
		t.Errorf("CPU of a process that does not exist = %v, want an error", cpu)
	}
}
