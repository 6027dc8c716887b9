package dynamodb

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// sqliteFailure matches an exception of sqlite4java: the result code, of SQLite if positive
// (https://www.sqlite.org/rescode.html) or of the library if negative, and the reason, usually in brackets at the end.
var sqliteFailure = regexp.MustCompile(`SQLiteException: \[(-?\d+)\] (?:.*\[)?([^\[\]\n]+)`)

// SQLite's result codes for a damaged file.
const (
	sqliteCorrupt = 11
	sqliteNotADB  = 26
)

// storageFailure returns the error with which DynamoDB Local failed to open its database file, or nil. DynamoDB Local
// keeps running after such an error.
func (s *Server) storageFailure() error {
	output, err := os.ReadFile(s.logFile)
	if err != nil {
		return fmt.Errorf("read the output of DynamoDB Local: %w", err)
	}
	match := sqliteFailure.FindSubmatch(output)
	if match == nil {
		return nil
	}
	reason := string(match[2])
	code, err := strconv.Atoi(string(match[1]))
	switch {
	case err != nil || code < 0 || s.dataDir == "":
		return fmt.Errorf("DynamoDB Local cannot load its storage: %s; its output is in %s", reason, s.logFile)
	case code == sqliteCorrupt || code == sqliteNotADB:
		return fmt.Errorf("the data in %s is damaged (SQLite: %s): restore %s from a backup, or delete the data with "+
			"`RESET=1 go tool mage run`; the output of DynamoDB Local is in %s",
			s.dataDir, reason, databaseFile, s.logFile)
	default:
		return fmt.Errorf("DynamoDB Local cannot use %s in %s (SQLite: %s): check its permissions and the free disk space, "+
			"or delete the data with `RESET=1 go tool mage run`; the output of DynamoDB Local is in %s",
			databaseFile, s.dataDir, reason, s.logFile)
	}
}

// failure returns an error with the exit status of the JVM and the line of its output that states the cause.
func (s *Server) failure() error {
	if err := s.storageFailure(); err != nil {
		return err
	}
	output, err := os.ReadFile(s.logFile)
	if err != nil {
		return fmt.Errorf("read the output of DynamoDB Local: %w", err)
	}
	reason := cmp.Or(causeLine(string(output)), "Java printed nothing")
	return errors.New(reason + " (" + s.process.State().String() + "); its output is in " + s.logFile)
}

// notice matches lines of Java's output that do not state the reason of a failure: options from the environment and
// warnings.
var notice = regexp.MustCompile(`^(Picked up |WARNING: |\[[0-9.]+s\]\[|[^:]* VM warning: )`)

// causeLine returns the innermost cause of a Java stack trace, or else the first line that is not a notice.
func causeLine(output string) string {
	first, cause := "", ""
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "Caused by: "); ok && rest != "" {
			cause = rest
		}
		if first == "" && line != "" && !notice.MatchString(line) {
			first = line
		}
	}
	return cmp.Or(cause, first)
}
