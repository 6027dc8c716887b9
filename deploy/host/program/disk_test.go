package program_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/userrequestapi/userdata/deploy/host/program"
)

func TestExplainDiskFull(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		err  error
		full bool
	}{
		{"error of the operating system", fmt.Errorf("pack: %w", &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}), true},
		{"quota", &fs.PathError{Op: "write", Path: "x", Err: syscall.EDQUOT}, true},
		{"compiler output", errors.New("compile get:\nwrite $WORK/b048/_pkg_.a: no space left on device"), true},
		{"other error", &fs.PathError{Op: "write", Path: "x", Err: syscall.EIO}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := program.ExplainDiskFull(tt.err)
			if !errors.Is(got, tt.err) || !strings.HasPrefix(got.Error(), tt.err.Error()) {
				t.Errorf("error = %v, want it to contain %v", got, tt.err)
			}
			if contains := strings.Contains(got.Error(), "TMPDIR"); contains != tt.full {
				t.Errorf("error = %v; contains TMPDIR = %t, want %t", got, contains, tt.full)
			}
			if again := program.ExplainDiskFull(got); again.Error() != got.Error() {
				t.Errorf("explained again: error = %v, want %v", again, got)
			}
		})
	}
	if err := program.ExplainDiskFull(nil); err != nil {
		t.Errorf("error = %v, want none", err)
	}
}
