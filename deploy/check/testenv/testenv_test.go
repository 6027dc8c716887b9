package testenv_test

import (
	"testing"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
)

func TestSkipUnlessAll(t *testing.T) {
	for _, tt := range []struct {
		name, value string
		want        bool // skipped
	}{
		{"unset", "", true},
		{"all", "1", false},
		{"another value", "0", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(testenv.AllVariable, tt.value)
			skipped := true
			t.Run("test", func(t *testing.T) {
				defer func() { skipped = t.Skipped() }()
				testenv.SkipUnlessAll(t)
			})
			if skipped != tt.want {
				t.Errorf("skipped = %t, want %t", skipped, tt.want)
			}
		})
	}
}
