package local_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/local"
)

// TestCreateRunDir checks that a run removes the folders of killed runs, but not of running ones.
func TestCreateRunDir(t *testing.T) {
	t.Parallel()
	builds := t.TempDir()
	for _, dir := range []string{"get", "run-killed"} {
		if err := os.Mkdir(filepath.Join(builds, dir), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(builds, dir, "bootstrap"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func() (name string, kill func()) {
		t.Helper()
		dir, release, err := local.CreateRunDir(builds)
		if err != nil {
			t.Fatal(err)
		}
		return filepath.Base(dir), func() {
			t.Helper()
			if err := release(); err != nil {
				t.Error(err)
			}
		}
	}
	want := func(runs ...string) {
		t.Helper()
		entries, err := os.ReadDir(builds)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, entry := range entries {
			got[entry.Name()] = true
		}
		folders := map[string]bool{"get": true, "run.lock": true}
		for _, name := range runs {
			folders[name] = true
		}
		if diff := cmp.Diff(folders, got); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
	}
	first, killFirst := run()
	want(first)
	second, killSecond := run()
	want(first, second)
	killFirst()
	third, killThird := run()
	want(first, second, third) // the second run still runs
	killSecond()
	killThird()
	fourth, killFourth := run()
	want(fourth)
	killFourth()
}
