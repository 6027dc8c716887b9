package ansi_test

import (
	"testing"

	"github.com/userrequestapi/userdata/deploy/host/ansi"
)

func TestPaint(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		color bool
		text  string
		want  string
	}{
		{"color", true, "wrong", "\x1b[31mwrong\x1b[0m"},
		{"no color", false, "wrong", "wrong"},
		{"empty", true, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := ansi.Red.Paint(tt.color, tt.text); got != tt.want {
				t.Errorf("Paint = %q, want %q", got, tt.want)
			}
		})
	}
}
