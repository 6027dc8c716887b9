package tools_test

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/userrequestapi/userdata/deploy/host/tools"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wantInstalledOnce calls install twice and checks that only the first call reports progress.
func wantInstalledOnce(
	t *testing.T, install func(progress func(string)) (*tools.Env, error), check func(*testing.T, *tools.Env),
) {
	t.Helper()
	for _, want := range []int{1, 0} {
		var progress []string
		env, err := install(func(step string) { progress = append(progress, step) })
		if err != nil {
			t.Fatal(err)
		}
		check(t, env)
		if len(progress) != want {
			t.Errorf("progress = %q, want %d lines", progress, want)
		}
	}
}

// wantAbsent checks that err reports a missing runtime, with the reason and the installation advice.
func wantAbsent(t *testing.T, err error, reason, advice string) {
	t.Helper()
	if !errors.Is(err, tools.ErrAbsent) || !strings.Contains(err.Error(), reason) || !strings.Contains(err.Error(), advice) {
		t.Errorf("got error %v, want %v with %q and the installation advice", err, tools.ErrAbsent, reason)
	}
}

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
