// Package faults_test tests responses while the database, its connections, or a function fail. Requests go to the local
// gateway; the functions are the deployed binaries; the database is DynamoDB Local.
package faults_test

import (
	"flag"
	"testing"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
)

func TestMain(m *testing.M) {
	// The tests mostly wait for timeouts, so more of them than processors can run in parallel.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	stacktest.Main(m, stacktest.Database, stacktest.Functions, buildFaulty)
}
