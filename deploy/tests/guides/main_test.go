// Package guides_test tests the guides, README.md and docs: it runs their commands, compares the output, and checks
// that the names in them exist in the source.
package guides_test

import (
	"testing"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
)

func TestMain(m *testing.M) { stacktest.Main(m) }
