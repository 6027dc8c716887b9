// Package e2e_test tests what clients of the API rely on, as they see it: HTTP in, HTTP out, through the gateway, the
// functions' real binaries and DynamoDB Local. What only the table can tell is read from the table, by AWS's SDK.
package e2e_test

import (
	"testing"

	"github.com/userrequestapi/userdata/tests/stacktest"
)

func TestMain(m *testing.M) { stacktest.Main(m) }
