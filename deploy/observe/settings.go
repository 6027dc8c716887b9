// Package observe shows the traces of a deployed stage in X-Ray and its log lines in CloudWatch Logs, or those of the
// local stack. It is read-only.
package observe

import (
	"cmp"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/userrequestapi/userdata/deploy/aws/logformat"
	"github.com/userrequestapi/userdata/deploy/local/datadir"
	"github.com/userrequestapi/userdata/deploy/release/stage"
)

// Settings selects the traces and lines to show, and the format.
type Settings struct {
	stage.Settings // Poll is the polling interval for new lines

	// DataDir is the folder of the local stack, for the stage local.
	DataDir string

	Out   io.Writer
	Width int  // terminal width in columns; 0 means that Out is not a terminal
	Color bool // use ANSI colors
	JSON  bool // one JSON object per line

	// Since is the age of the oldest trace or line; 0 means an hour, or a day for the lines of one request.
	Since time.Duration
	// Limit is the maximum number of traces or lines, the latest; 0 means 50 traces, all lines, or 100 lines with Follow.
	Limit int

	// Filters for traces. If several of Fault, Error and Throttle are set, a trace must match one of them. They apply to
	// any segment: a DynamoDB call that was throttled and then succeeded counts as a throttle. Status applies to the
	// response.
	Fault     bool          // 5xx, or no response
	Error     bool          // 4xx
	Throttle  bool          // too many requests
	ColdStart bool          // with a cold start
	Slower    time.Duration // response time above this; 0 means any
	Operation string        // operationId in the API document, such as getUser
	Status    string        // such as 404 or 5xx

	TraceID string // the trace to show, or whose lines to show

	// Filters for lines.
	RequestID string   // of API Gateway or Lambda
	Level     string   // the lowest level, one of [logformat.Levels]
	Functions []string // short names, or access and execution for API Gateway's logs; empty means all
	Follow    bool     // show new lines until the context ends
}

var (
	traceID   = regexp.MustCompile(`\b1-[0-9a-f]{8}-[0-9a-f]{24}\b`)
	requestID = regexp.MustCompile(`^[0-9A-Za-z_=-]{1,128}$`)
	operation = regexp.MustCompile(`^[0-9A-Za-z_.-]{1,128}$`)
	status    = regexp.MustCompile(`^[1-5](\d{2}|xx)$`)
)

// FromEnvironment reads the settings from environment variables: those of [stage.FromEnvironment], and SINCE, LIMIT,
// FAULT, ERROR, THROTTLE, COLD, SLOWER, OPERATION, STATUS, TRACE, REQUEST, LEVEL, FUNCTION, FOLLOW and
// DATA_DIR. Results are written to out, progress to standard error.
func FromEnvironment(root string, out *os.File, getenv func(string) string) (Settings, error) {
	common, variables := stage.FromEnvironment(root, os.Stderr, getenv)
	s := Settings{
		Settings:  common,
		DataDir:   datadir.Of(root, getenv),
		Out:       out,
		JSON:      common.Printer.JSON(),
		Since:     variables.Duration("SINCE", 0),
		Limit:     variables.Number("LIMIT", 0, 0, maxLimit),
		Fault:     variables.Flag("FAULT", false),
		Error:     variables.Flag("ERROR", false),
		Throttle:  variables.Flag("THROTTLE", false),
		ColdStart: variables.Flag("COLD", false),
		Slower:    variables.Duration("SLOWER", 0),
		Operation: getenv("OPERATION"),
		Status:    strings.ToLower(getenv("STATUS")),
		RequestID: getenv("REQUEST"),
		Level:     strings.ToUpper(getenv("LEVEL")),
		Functions: strings.FieldsFunc(getenv("FUNCTION"), func(r rune) bool { return r == ',' || r == ' ' }),
	}
	if given := getenv("TRACE"); given != "" {
		if s.TraceID = traceID.FindString(given); s.TraceID == "" { // the value may be the whole header
			variables.Faultf("TRACE",
				"want a trace ID, such as 1-6741b2c8-0123456789abcdef01234567, or the header X-Amzn-Trace-Id")
		}
	}
	if s.RequestID != "" && !requestID.MatchString(s.RequestID) {
		variables.Faultf("REQUEST", "want a request ID, such as the value of the header x-amzn-RequestId")
	}
	if s.Operation != "" && !operation.MatchString(s.Operation) {
		variables.Faultf("OPERATION", "want an operationId of deploy/openapi.yaml, such as getUser")
	}
	if s.Status != "" && !status.MatchString(s.Status) {
		variables.Faultf("STATUS", "want a status code or a class, such as 404 or 5xx")
	}
	if s.Level != "" && !slices.Contains(logformat.Levels(), s.Level) {
		variables.Faultf("LEVEL", "want one of %s", strings.Join(logformat.Levels(), ", "))
	}
	if term.IsTerminal(int(out.Fd())) {
		s.Color = getenv("NO_COLOR") == "" && getenv("TERM") != "dumb" && !s.JSON
		s.Width = defaultWidth
		if width, _, err := term.GetSize(int(out.Fd())); err == nil && width > 0 { // some terminals report 0
			s.Width = width
		}
	}
	// The lines of a single request are complete.
	s.Follow = variables.Flag("FOLLOW", s.Width > 0 && !s.JSON && cmp.Or(s.TraceID, s.RequestID) == "")
	if s.Follow && cmp.Or(s.TraceID, s.RequestID) != "" {
		variables.Faultf("FOLLOW", "want 0 with TRACE or REQUEST, because a single request has no new lines")
	}
	return s, s.Check(variables)
}

const (
	defaultWidth = 80 // columns
	maxLimit     = 100_000
)

func (s Settings) style() logformat.Style { return logformat.Style{Color: s.Color} }
