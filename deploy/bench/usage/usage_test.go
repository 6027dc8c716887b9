package usage_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/userrequestapi/userdata/deploy/bench/usage"
)

// TestRead checks that work shows in the processor time, and that a process has memory.
func TestRead(t *testing.T) {
	t.Parallel()
	before, err := usage.Read(os.Getpid())
	if !usage.Supported {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("error = %v, want %v", err, errors.ErrUnsupported)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if before.Memory < 1<<20 {
		t.Errorf("memory = %d bytes, want at least a MiB", before.Memory)
	}
	for { // the test's deadline ends it
		cpu, err := usage.CPU(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if cpu-before.CPU > 100*time.Microsecond {
			return
		}
	}
}

func TestCPU_Ended(t *testing.T) {
	t.Parallel()
	if cpu, err := usage.CPU(1 << 22); err == nil {
		t.Errorf("CPU of a process that does not exist = %v, want an error", cpu)
	}
}
