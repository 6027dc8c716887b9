package quota_test

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/bench/quota"
)

func TestDuration(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for _, test := range []struct {
		name            string
		memoryMB        int
		wall, cpu, want time.Duration
	}{
		{"less than the quota", 256, 3 * ms, 2 * ms, 3 * ms},
		{"a whole processor", 1769, 50 * ms, 50 * ms, 50 * ms},
		{"more than a processor", 3538, 50 * ms, 80 * ms, 50 * ms},
		// The quota of half a processor is 10 ms in 20 ms. The other 10 ms take twice as long.
		{"beyond the quota", 1769 / 2, 25 * ms, 20 * ms, 35 * ms},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := quota.Duration(test.memoryMB, test.wall, test.cpu)
			if diff := got - test.want; diff.Abs() > 50*time.Microsecond {
				t.Errorf("Duration(%d, %v, %v) = %v, want %v", test.memoryMB, test.wall, test.cpu, got, test.want)
			}
		})
	}
}

// TestCreate_Unsupported checks that nothing is left in a folder that has no control groups.
func TestCreate_Unsupported(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := quota.Create(dir, 256); err == nil {
		t.Error("error = nil for a folder that is no control group")
	}
	left, err := os.ReadDir(dir)
	if diff := cmp.Diff([]os.DirEntry{}, left); err != nil || diff != "" {
		t.Errorf("%v, left over (-want +got):\n%s", err, diff)
	}
}

// TestNew checks a group of this machine, if the user may create one.
func TestNew(t *testing.T) {
	t.Parallel()
	g, err := quota.New(256)
	if err != nil {
		t.Skip(err)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
}

func TestPerPeriod(t *testing.T) {
	t.Parallel()
	if got, want := quota.PerPeriod(1769), quota.Period; got != want {
		t.Errorf("PerPeriod(1769) = %v, want %v", got, want)
	}
	if got, want := quota.PerPeriod(128), 1447*time.Microsecond; got.Truncate(time.Microsecond) != want {
		t.Errorf("PerPeriod(128) = %v, want %v", got, want)
	}
}
