package tools_test

import (
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script writes an executable shell script that does not need PATH.
func script(t *testing.T, name, body string) {
	t.Helper()
	// A child writes it: a concurrent fork could inherit a file open for writing, and running it would fail with
	// ETXTBSY.
	cmd := exec.Command("sh", "-c", `cat >"$0" && chmod +x "$0"`, name)
	cmd.Stdin = strings.NewReader("#!/bin/sh\n" + body + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
