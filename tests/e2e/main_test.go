// Package e2e_test tests the API over HTTP, with the gateway, the functions' real binaries and DynamoDB Local. Tests
// read the table directly for what the API does not return.
package e2e_test

import (
	"testing"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
)

func TestMain(m *testing.M) { stacktest.Main(m) }
