// Package faults_test tests what clients get when something breaks: the database, its connections, or a function. The requests
// go to the gateway, the functions are the real binaries, and the database is AWS's DynamoDB Local.
package faults_test

import (
	"flag"
	"testing"

	"github.com/userrequestapi/userdata/tests/stacktest"
)

func TestMain(m *testing.M) {
	// The tests wait for time limits more than they compute, so that more of them than there are processors run at once.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	stacktest.Main(m, stacktest.Database, stacktest.Functions, buildFaulty)
}
