// Package daemonaddress hides AWS_XRAY_DAEMON_ADDRESS from the X-Ray SDK during its initialization. There, the SDK
// panics on an address that it cannot parse or resolve, before the function can log the error.
//
// It depends on the order in which Go initializes packages: by import path, each as soon as its imports are
// initialized. This package imports only os, and its path sorts before net, which the SDK imports, so it is
// initialized first.
package daemonaddress

import "os"

// Variable is the name of the environment variable.
const Variable = "AWS_XRAY_DAEMON_ADDRESS"

//nolint:gochecknoglobals // The value must be saved before the SDK is initialized.
var address, set = unset()

// unset removes the variable from the environment and returns its value.
func unset() (string, bool) {
	address, set := os.LookupEnv(Variable)
	if set {
		_ = os.Unsetenv(Variable) // fails only for a malformed name
	}
	return address, set
}

// Restore restores the variable. Call it from an init function of a package that imports the SDK.
func Restore() {
	if set {
		_ = os.Setenv(Variable, address) // fails only for a malformed name or value
	}
}
