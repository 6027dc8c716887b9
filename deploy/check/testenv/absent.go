package testenv

import (
	"errors"
	"os"
	"testing"

	"github.com/userrequestapi/userdata/deploy/host/tools"
)

// SkipAbsent skips the test if err wraps [tools.ErrAbsent], except in CI. It fails the test for any other error.
func SkipAbsent(tb testing.TB, err error) {
	tb.Helper()
	if errors.Is(err, tools.ErrAbsent) && os.Getenv("CI") == "" {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
}
