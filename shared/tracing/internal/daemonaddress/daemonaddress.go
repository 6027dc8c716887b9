// Package daemonaddress keeps AWS_XRAY_DAEMON_ADDRESS from the X-Ray SDK while that initialises: the SDK panics there on an
// address that it cannot parse or resolve, which would take the function down before it can say why.
//
// It works by the order in which Go initialises packages: by import path, each as soon as its own imports are done. This
// package imports only os, and its path sorts before net, on which the SDK depends; so it always goes first.
package daemonaddress

import "os"

// Variable is the name of the environment variable.
const Variable = "AWS_XRAY_DAEMON_ADDRESS"

//nolint:gochecknoglobals // There is nowhere else to keep it until the SDK has initialised.
var address, set = take()

func take() (string, bool) {
	address, set := os.LookupEnv(Variable)
	if set {
		// Fails only for a malformed name.
		_ = os.Unsetenv(Variable)
	}
	return address, set
}

// Restore puts the variable back as it was found. Call it from an init function of a package that imports the SDK.
func Restore() {
	if set {
		// Fails only for a malformed name, or a value with a NUL byte, which no environment holds.
		_ = os.Setenv(Variable, address)
	}
}
