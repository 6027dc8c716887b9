//go:build !mage

// Package workspace is empty: the code is in the modules that go.work lists. go tool mage test tests all of them, and
// go tool mage lists the other targets.
package workspace
