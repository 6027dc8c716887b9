package reference_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/userrequestapi/userdata/deploy/docs/reference"
)

// TestOpenURL checks that OpenURL returns when ctx ends, even if the browser still runs, and that it reports a missing
// browser.
func TestOpenURL(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no xdg-open")
	}
	dir := t.TempDir()
	log, wait := filepath.Join(dir, "log"), filepath.Join(dir, "wait")
	if err := syscall.Mkfifo(wait, 0o600); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\necho \"$@\" > " + log + "\nread line < " + wait + "\n"
	if err := os.WriteFile(filepath.Join(dir, "xdg-open"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- reference.OpenURL(ctx, "file:///page") }()
	// Opening the pipe for writing waits until the script has opened it for reading.
	pipe, err := os.OpenFile(wait, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("error = %v after ctx has ended, want nil", err)
	}
	_, err = pipe.WriteString("\n")
	if err := errors.Join(err, pipe.Close()); err != nil {
		t.Error(err)
	}
	if content, err := os.ReadFile(log); err != nil || string(content) != "file:///page\n" {
		t.Errorf("xdg-open got the arguments %q (%v), want file:///page", content, err)
	}
	t.Setenv("PATH", t.TempDir())
	if err := reference.OpenURL(t.Context(), "file:///page"); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("error = %v, want exec.ErrNotFound", err)
	}
}
