// Package testenv describes the environment in which [check.Test] runs the tests.
//
// [check.Test]: https://pkg.go.dev/github.com/userrequestapi/userdata/deploy/check#Test
package testenv

import (
	"os"
	"testing"
)

// Environment variables of the test targets.
const (
	// AllVariable is set to 1 by the target test:all.
	AllVariable = "TEST_ALL"
	// EndpointVariable is the URL of the DynamoDB Local that the tests share.
	EndpointVariable = "DYNAMODB_ENDPOINT"
	// FunctionsVariable is the folder of the functions' executables, each in a folder named by its logical id.
	FunctionsVariable = "TEST_FUNCTIONS"
	// SummaryVariable is the file to which tests append lines that are printed after all tests.
	SummaryVariable = "TEST_SUMMARY"
)

// All reports whether the tests run in the target test:all.
func All() bool { return os.Getenv(AllVariable) == "1" }

// SkipUnlessAll skips a slow test unless the target test:all runs it, as in continuous integration.
func SkipUnlessAll(tb testing.TB) {
	tb.Helper()
	if !All() {
		tb.Skip("slow: run it with go tool mage test:all, or set " + AllVariable + "=1")
	}
}
