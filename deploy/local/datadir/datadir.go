// Package datadir names the folder in which the local stack keeps its data between runs, and the files in it that other
// programs read.
package datadir

import (
	"cmp"
	"path/filepath"
)

// Of returns the folder of a workspace: DATA_DIR, or .local below root.
func Of(root string, getenv func(string) string) string {
	return cmp.Or(getenv("DATA_DIR"), filepath.Join(root, ".local"))
}

// Traces returns the folder of the segment documents.
func Traces(dir string) string { return filepath.Join(dir, "traces") }

// Log returns the log file of the last run: the lines of the functions, Lambda's events and the access log.
func Log(dir string) string { return filepath.Join(dir, "logs", "stack.jsonl") }

// Credentials returns the file with the access key of the local stack, in the format that the AWS SDKs share.
func Credentials(dir string) string { return filepath.Join(dir, "aws", "credentials") }

// CurlConfig returns the configuration of curl that signs requests with this access key.
func CurlConfig(dir string) string { return filepath.Join(dir, "aws", "curl") }
