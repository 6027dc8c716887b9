package quota_test

import (
	"os"
	"path/filepath"
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

// TestLimit checks what is written to the files, which the kernel creates, in both versions of control groups.
func TestLimit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		files []string
		want  map[string]string
	}{
		{
			"version 2", []string{"cgroup.controllers", "cpu.weight", "cpu.max"},
			map[string]string{"cgroup.controllers": "", "cpu.weight": "10000", "cpu.max": "2894 20000"},
		},
		{
			"version 1", []string{"cpu.shares", "cpu.cfs_period_us", "cpu.cfs_quota_us"},
			map[string]string{"cpu.shares": "262144", "cpu.cfs_period_us": "20000", "cpu.cfs_quota_us": "2894"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, name := range test.files {
				if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := quota.Limit(dir, 256); err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, name := range test.files {
				content, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				got[name] = string(content)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
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
