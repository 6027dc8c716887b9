// Package deployment_test deploys the API into an emulated account by the programs that mage's targets start, each in a process of its
// own, and looks at what is there afterwards: through the API, and through the targets' output and exit codes.
package deployment_test
