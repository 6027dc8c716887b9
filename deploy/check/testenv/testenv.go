// Package testenv describes the environment in which [check.Test] runs the tests.
//
// [check.Test]: https://pkg.go.dev/github.com/userrequestapi/userdata/deploy/check#Test
package testenv

import (
	"os"
	"testing"
)

// Environment variables that the test targets set.
const (
	// AllVariable is set to 1 by the target test:all.
	AllVariable = "TEST_ALL"
	// EndpointVariable is the URL of the DynamoDB that the tests share.
	EndpointVariable = "DYNAMODB_ENDPOINT"
	// FunctionsVariable is the folder of the functions' executables, each in a folder named by its logical id.
	FunctionsVariable = "USERDATA_TEST_FUNCTIONS"
	// SummaryVariable is the file to which tests append what is printed after the last of them.
	SummaryVariable = "TEST_SUMMARY"
)

// All reports whether the target test:all runs the tests.
func All() bool { return os.Getenv(AllVariable) == "1" }

// SkipUnlessAll skips a test that takes long: only the target test:all, which continuous integration runs, includes it.
func SkipUnlessAll(tb testing.TB) {
	tb.Helper()
	if !All() {
		tb.Skip("takes long: run it with go tool mage test:all, or set " + AllVariable + "=1")
	}
}
