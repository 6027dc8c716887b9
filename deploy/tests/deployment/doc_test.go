// Package deployment_test deploys a service to an emulated account with the programs that mage's targets start, each in
// its own process, and checks the result through the API and the output and exit codes of the targets.
package deployment_test
