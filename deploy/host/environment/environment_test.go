package environment_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/userrequestapi/userdata/deploy/host/environment"
)

func reader(value string) *environment.Reader {
	return environment.New(func(name string) string {
		if name != "NAME" {
			return "another variable"
		}
		return value
	})
}

func TestFlag(t *testing.T) {
	t.Parallel()
	tests := []struct {
		value     string
		byDefault bool
		want, ok  bool
	}{
		{"", false, false, true}, {"", true, true, true}, {"1", false, true, true}, {"true", false, true, true}, {"0", true, false, true},
		{"false", true, false, true}, {"yes", true, true, false},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%q or %t", tt.value, tt.byDefault), func(t *testing.T) {
			t.Parallel()
			r := reader(tt.value)
			if got := r.Flag("NAME", tt.byDefault); got != tt.want {
				t.Errorf("Flag of %q = %v, want %v", tt.value, got, tt.want)
			}
			check(t, r, tt.value, tt.ok)
		})
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	tests := []struct {
		value string
		want  int
		ok    bool
	}{
		{"", 7, true}, {"1", 1, true}, {"9", 9, true}, {"0", 7, false}, {"10", 7, false}, {"1.5", 7, false}, {"many", 7, false},
	}
	for _, tt := range tests {
		t.Run(strconv.Quote(tt.value), func(t *testing.T) {
			t.Parallel()
			r := reader(tt.value)
			if got := r.Number("NAME", 7, 1, 9); got != tt.want {
				t.Errorf("Number of %q = %d, want %d", tt.value, got, tt.want)
			}
			check(t, r, tt.value, tt.ok)
		})
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	tests := []struct {
		value string
		want  time.Duration
		ok    bool
	}{
		{"", time.Hour, true}, {"500ms", 500 * time.Millisecond, true}, {"1h30m", 90 * time.Minute, true}, {"7d", 168 * time.Hour, true},
		{"0.5d", 12 * time.Hour, true}, {"0", time.Hour, false}, {"0d", time.Hour, false}, {"-1h", time.Hour, false}, {"5", time.Hour, false},
		{"d", time.Hour, false}, {"1e9d", time.Hour, false}, {"NaNd", time.Hour, false}, {"soon", time.Hour, false},
	}
	for _, tt := range tests {
		t.Run(strconv.Quote(tt.value), func(t *testing.T) {
			t.Parallel()
			r := reader(tt.value)
			if got := r.Duration("NAME", time.Hour); got != tt.want {
				t.Errorf("Duration of %q = %v, want %v", tt.value, got, tt.want)
			}
			check(t, r, tt.value, tt.ok)
		})
	}
}

// check verifies that an invalid value, and no other, is a fault with the variable and its value.
func check(t *testing.T, r *environment.Reader, value string, ok bool) {
	t.Helper()
	err := r.Err()
	if (err == nil) != ok {
		t.Errorf("%q: error = %v, want one: %t", value, err, !ok)
	}
	if err != nil && (!strings.HasPrefix(err.Error(), "NAME: want ") || !strings.HasSuffix(err.Error(), `, got "`+value+`"`)) {
		t.Errorf("error = %v, want NAME: want …, got %q", err, value)
	}
}

func TestErr_JoinsAll(t *testing.T) {
	t.Parallel()
	r := reader("wrong")
	r.Flag("NAME", false)
	r.Number("OTHER", 0, 0, 9)
	if err := r.Err(); err == nil || !strings.Contains(err.Error(), "NAME") || !strings.Contains(err.Error(), "OTHER") {
		t.Errorf("error = %v, want both", err)
	}
}
