package ansi_test

import (
	"testing"

	"github.com/userrequestapi/userdata/deploy/host/ansi"
)

func TestPaint(t *testing.T) {
	t.Parallel()
	if got, want := ansi.Red.Paint("wrong"), "\x1b[31mwrong\x1b[0m"; got != want {
		t.Errorf("Paint = %q, want %q", got, want)
	}
}
