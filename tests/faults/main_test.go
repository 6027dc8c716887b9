// Package faults_test tests what clients get when something breaks: the database, its connections, or a function. The requests
// go to the gateway, the functions are the real binaries, and the database is AWS's DynamoDB Local.
package faults_test

import (
	"testing"

	"github.com/userrequestapi/userdata/tests/stacktest"
)

func TestMain(m *testing.M) { stacktest.Main(m, stacktest.Database, stacktest.Functions, buildFaulty) }
