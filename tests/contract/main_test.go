// Package contract_test checks the API document against local stacks. A request produces each example of the
// document, and random requests produce only documented responses. Package stacktest checks the responses of all
// other tests against the document.
package contract_test

import (
	"testing"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
)

func TestMain(m *testing.M) { stacktest.Main(m) }
