// Package observe shows what a stage that is deployed tells of its requests: their traces in X-Ray and the lines of its logs in
// CloudWatch. It changes nothing.
package observe

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/userrequestapi/userdata/deploy/aws/logformat"
	"github.com/userrequestapi/userdata/deploy/host/environment"
	"github.com/userrequestapi/userdata/deploy/release"
)

// Settings say what to show, and how.
type Settings struct {
	release.Settings // its Poll is how often it is looked for new lines

	Out   io.Writer
	Width int  // columns of the terminal that Out is; 0: it is none
	Color bool // ANSI's colors
	JSON  bool // one JSON object a line

	// Since is how far back to look; 0: an hour, and for the lines of one request a day.
	Since time.Duration
	// Limit is how many of the latest to show at most; 0: 50 traces, and all lines, but 100 to begin with where Follow is set.
	Limit int

	// Which traces. Of Fault, Error and Throttle any one will do, if one is set. They are about any part of a trace: a call of
	// DynamoDB that was throttled, and succeeded in the end, is a throttle. Status is about the answer.
	Fault     bool          // 5xx, or no answer
	Error     bool          // 4xx
	Throttle  bool          // too many requests
	ColdStart bool          // the function was started for it
	Slower    time.Duration // than this; 0: or not
	Operation string        // such as getUser, as the API document names it
	Status    string        // such as 404 or 5xx

	TraceID string // the one trace to show, or whose lines

	// Which lines.
	RequestID string   // of API Gateway or Lambda
	Level     string   // the lowest, one of [logformat.Levels]
	Functions []string // by their short names, and access and execution for API Gateway's logs; none: all
	Follow    bool     // whether to go on with new lines until the context ends
}

var (
	traceID   = regexp.MustCompile(`\b1-[0-9a-f]{8}-[0-9a-f]{24}\b`)
	requestID = regexp.MustCompile(`^[0-9A-Za-z_=-]{1,128}$`)
	operation = regexp.MustCompile(`^[0-9A-Za-z_.-]{1,128}$`)
	status    = regexp.MustCompile(`^[1-5](\d{2}|xx)$`)
)

// FromEnvironment reads the settings from environment variables: those of [release.FromEnvironment] that concern a stage which
// is deployed, and SINCE, LIMIT, FAULT, ERROR, THROTTLE, COLD, SLOWER, OPERATION, STATUS, TRACE, REQUEST, LEVEL, FUNCTION, FOLLOW,
// JSON and NO_COLOR. What is asked for goes to out, and what is done for it to standard error.
func FromEnvironment(root string, out *os.File, getenv func(string) string) (Settings, error) {
	deployed, err := release.FromEnvironment(root, os.Stderr, getenv)
	if err != nil {
		return Settings{}, err
	}
	variables := environment.New(getenv)
	s := Settings{
		Settings:  deployed,
		Out:       out,
		JSON:      variables.Flag("JSON", false),
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
		if s.TraceID = traceID.FindString(given); s.TraceID == "" { // it may be the whole header
			variables.Faultf("TRACE", "it must be the id of a trace, such as 1-6741b2c8-0123456789abcdef01234567, or X-Amzn-Trace-Id with it")
		}
	}
	if s.RequestID != "" && !requestID.MatchString(s.RequestID) {
		variables.Faultf("REQUEST", "it must be the id of a request, such as the header x-amzn-RequestId has")
	}
	if s.Operation != "" && !operation.MatchString(s.Operation) {
		variables.Faultf("OPERATION", "it must be an operationId of deploy/openapi.yaml, such as getUser")
	}
	if s.Status != "" && !status.MatchString(s.Status) {
		variables.Faultf("STATUS", "it must be a status code or a class, such as 404 or 5xx")
	}
	if s.Level != "" && !slices.Contains(logformat.Levels(), s.Level) {
		variables.Faultf("LEVEL", "it must be one of %s", strings.Join(logformat.Levels(), ", "))
	}
	if term.IsTerminal(int(out.Fd())) {
		s.Color = getenv("NO_COLOR") == "" && getenv("TERM") != "dumb" && !s.JSON
		s.Width = defaultWidth
		if width, _, err := term.GetSize(int(out.Fd())); err == nil && width > 0 { // some terminals do not say
			s.Width = width
		}
	}
	// Whoever names one request wants what there is of it.
	s.Follow = variables.Flag("FOLLOW", s.Width > 0 && !s.JSON && cmp.Or(s.TraceID, s.RequestID) == "")
	if s.Follow && cmp.Or(s.TraceID, s.RequestID) != "" {
		variables.Faultf("FOLLOW", "one request is over: leave it out with TRACE and REQUEST")
	}
	if err := variables.Err(); err != nil {
		return Settings{}, release.WithCode(release.CodeSettings, fmt.Errorf("read the settings: %w", err))
	}
	return s, nil
}

const (
	defaultWidth = 80 // columns
	maxLimit     = 100_000
)

func (s Settings) style() logformat.Style { return logformat.Style{Color: s.Color} }
