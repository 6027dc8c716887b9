package check_test

import (
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check"
)

func TestTest_All(t *testing.T) {
	t.Parallel()
	root := workspace(t, map[string]string{"a/b_test.go": `package a_test

import (
	"os"
	"testing"
)

func TestB(t *testing.T) { t.Fatalf("TEST_ALL=%q", os.Getenv("TEST_ALL")) }
`})
	for _, tt := range []struct {
		name string
		all  bool
		want string
	}{
		{"test", false, `TEST_ALL=""`},
		{"test:all", true, `TEST_ALL="1"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			err := check.Test(t.Context(), check.TestOptions{Root: root, All: tt.all, Short: true, Out: &out})
			if err == nil || !strings.Contains(out.String(), tt.want) {
				t.Errorf("error = %v, want one and %s in the output:\n%s", err, tt.want, out.String())
			}
		})
	}
}

func TestTest_SlowestPackages(t *testing.T) {
	t.Parallel()
	root := workspace(t, map[string]string{
		"b/b.go":      "package b\n",
		"b/b_test.go": "package b\n\nimport \"testing\"\n\nfunc TestB(t *testing.T) { t.Error(\"fails\") }\n",
		"b/go.mod":    "module example.com/b\n\ngo 1.26.0\n",
		"go.work":     "go 1.26.0\n\nuse (\n\t.\n\t./a\n\t./b\n)\n",
	})
	var out strings.Builder
	if err := check.Test(t.Context(), check.TestOptions{Root: root, Short: true, Out: &out}); err == nil {
		t.Error("error = nil, want that of a test that fails")
	}
	want := regexp.MustCompile(`(?s)Slowest packages:\n +[0-9.]+s {2}example\.com/[ab]\n +[0-9.]+s {2}example\.com/[ab]\n$`)
	if !want.MatchString(out.String()) {
		t.Errorf("output does not end in %s:\n%s", want, out.String())
	}
}

func TestTest_Packages(t *testing.T) {
	t.Parallel()
	root := workspace(t, map[string]string{
		"a/b/b.go": "package b\n",
		"a/c/c.go": "package c\n",
	})
	for _, tt := range []struct {
		name     string
		packages []string
		except   []string
		want     []string
	}{
		{"all", nil, nil, []string{"root", "a", "a/b", "a/c"}},
		{"some", []string{"./a/b", "./a/c"}, nil, []string{"a/b", "a/c"}},
		{"all but some", nil, []string{"./a/b/...", "."}, []string{"a", "a/c"}},
		{"some of some", []string{"./a/..."}, []string{"./a"}, []string{"a/b", "a/c"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			err := check.Test(t.Context(), check.TestOptions{
				Root: root, Short: true, Packages: tt.packages, Except: tt.except, Out: &out,
			})
			if err != nil {
				t.Fatalf("%v\n%s", err, out.String())
			}
			var got []string
			for _, match := range regexp.MustCompile(`(?m)^(?:ok {2}|\? {3})?\t\s*example\.com/(\S+)`).FindAllStringSubmatch(out.String(), -1) {
				got = append(got, match[1])
			}
			slices.Sort(got)
			slices.Sort(tt.want)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("tested packages (-want +got):\n%s\n%s", diff, out.String())
			}
		})
	}
}

func TestTest_NoPackages(t *testing.T) {
	t.Parallel()
	root := workspace(t, nil)
	for _, tt := range []struct {
		name             string
		packages, except []string
		want             string
	}{
		{"misspelled", []string{"./a/...", "./b/..."}, nil, "no package matches ./b/...: want a folder, such as ./deploy/... or ./deploy"},
		{"misspelled exception", nil, []string{"./b/..."}, "no package matches ./b/...: want a folder, such as ./deploy/... or ./deploy"},
		{"none left", []string{"./a"}, []string{"./a/..."}, "all packages of ./a are excluded by ./a/..."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := check.Test(t.Context(), check.TestOptions{
				Root: root, Short: true, Packages: tt.packages, Except: tt.except, Out: io.Discard,
			})
			if err == nil || err.Error() != tt.want {
				t.Errorf("error = %v, want %s", err, tt.want)
			}
		})
	}
}

func TestTest_Race(t *testing.T) {
	t.Parallel()
	root := workspace(t, map[string]string{"a/b_test.go": `package a_test

import (
	"os"
	"testing"
)

func TestB(*testing.T) {
	done, n := make(chan bool), os.Getppid()
	go func() { n++; done <- true }()
	n++
	<-done
	_ = n
}
`})
	for _, tt := range []struct {
		name string
		all  bool
		race []string
		want bool // found
	}{
		{"of all packages", false, nil, true},
		{"of the package", false, []string{"./a/..."}, true},
		{"of another package", false, []string{"."}, false},
		{"of another package in test:all", true, []string{"."}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			err := check.Test(t.Context(), check.TestOptions{Root: root, All: tt.all, Short: true, Race: tt.race, Out: &out})
			if strings.Contains(out.String(), "without the race detector") {
				t.Skip("no C compiler")
			}
			if found := strings.Contains(out.String(), "WARNING: DATA RACE"); found != tt.want || (err != nil) != tt.want {
				t.Errorf("found a race: %t, want %t; error = %v\n%s", found, tt.want, err, out.String())
			}
			for _, name := range []string{"example.com/root", "example.com/a"} {
				if n := strings.Count(out.String(), "\t"+name+"\t"); n < 1 {
					t.Errorf("%s was not tested:\n%s", name, out.String())
				}
			}
		})
	}
}
