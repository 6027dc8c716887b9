// Package contract_test proves the API document: each operation, status and example that it has is made by a request, to stacks that
// are as it takes, and requests that are made of the document at random find nothing that it does not have. That it leaves nothing
// out is seen by package stacktest, in the answers to all tests.
package contract_test

import (
	"testing"

	"github.com/userrequestapi/userdata/tests/stacktest"
)

func TestMain(m *testing.M) { stacktest.Main(m) }
