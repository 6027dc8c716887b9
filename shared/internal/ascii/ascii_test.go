package ascii_test

import (
	"regexp"
	"testing"

	"github.com/userrequestapi/userdata/shared/internal/ascii"
)

func TestIsAlphanumeric(t *testing.T) {
	t.Parallel()
	pattern := regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
	check := func(s string) {
		t.Helper()
		if got, want := ascii.IsAlphanumeric(s, "_.-"), pattern.MatchString(s); got != want {
			t.Errorf("%q: got %t, want %t", s, got, want)
		}
	}
	for _, s := range []string{"", "é", "a\n", "\xff"} {
		check(s)
	}
	for c := range 256 {
		check(string([]byte{byte(c)}))
		check(string([]byte{'a', byte(c), 'z'}))
	}
}
