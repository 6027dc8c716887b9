package dynamodb

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// sqliteFailure matches what sqlite4java prints: a code, SQLite's own if positive (https://www.sqlite.org/rescode.html) and the
// library's if negative, and the reason, last and mostly in brackets.
var sqliteFailure = regexp.MustCompile(`SQLiteException: \[(-?\d+)\] (?:.*\[)?([^\[\]\n]+)`)

// SQLite's result codes for a damaged file.
const (
	sqliteCorrupt = 11
	sqliteNotADB  = 26
)

// storageFailure returns why DynamoDB Local, which still runs, cannot open its database file; nil if it printed nothing of
// that kind.
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
		return fmt.Errorf("the data in %s is damaged (SQLite: %s): put a sound copy of %s there, or start clean, without the "+
			"data, by `RESET=1 go tool mage run`; the output of DynamoDB Local is in %s",
			s.dataDir, reason, databaseFile, s.logFile)
	default:
		return fmt.Errorf("DynamoDB Local cannot use %s in %s (SQLite: %s): see to its permissions and to free disk space, or "+
			"start clean, without the data, by `RESET=1 go tool mage run`; the output of DynamoDB Local is in %s",
			databaseFile, s.dataDir, reason, s.logFile)
	}
}

// failure returns how the JVM ended, with the one line of its output that tells the cause.
func (s *Server) failure() error {
	if err := s.storageFailure(); err != nil {
		return err
	}
	output, err := os.ReadFile(s.logFile)
	if err != nil {
		return fmt.Errorf("read the output of DynamoDB Local: %w", err)
	}
	reason := causeLine(string(output))
	if reason == "" {
		reason = "Java printed nothing"
	}
	return errors.New(reason + " (" + s.process.State().String() + "); its output is in " + s.logFile)
}

// notice matches the lines that Java prints in addition to the reason of a failure: options from the environment and warnings.
var notice = regexp.MustCompile(`^(Picked up |WARNING: |\[[0-9.]+s\]\[|[^:]* VM warning: )`)

// causeLine returns the innermost cause of a Java stack trace, or else the first line that is not just a notice.
func causeLine(output string) string {
	first, cause := "", ""
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if text, ok := strings.CutPrefix(line, "Caused by: "); ok && text != "" {
			cause = text
		}
		if first == "" && line != "" && !notice.MatchString(line) {
			first = line
		}
	}
	if cause != "" {
		return cause
	}
	return first
}
