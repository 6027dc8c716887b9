package xray

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/userrequestapi/userdata/deploy/aws/logformat"
	"github.com/userrequestapi/userdata/deploy/aws/trace"
	"github.com/userrequestapi/userdata/deploy/host/environment"
)

// Filter selects traces. The zero value selects all.
type Filter struct {
	Method      string        // such as GET
	Operation   string        // value of the annotation
	ErrorCode   string        // value of the annotation
	Version     string        // value of the annotation
	Status      string        // "404", or a class: "2xx", "4xx", "5xx"
	Text        string        // words that must all occur in IDs, names, URLs, annotations, causes, tables or log lines
	MinDuration time.Duration // 0: any
	MaxDuration time.Duration // 0: any
	Error       bool          // of Error, Fault and Throttle, a trace needs one of those that are set
	Fault       bool
	Throttle    bool
	ColdStart   bool      // only cold starts
	Since       time.Time // only traces that started at this time or later
	Until       time.Time // only traces that started before this time; zero: all
	Limit       int       // maximum number, the newest; 0: all
}

// LineFilter selects log lines. The zero value selects all.
type LineFilter struct {
	TraceID   string
	RequestID string // API Gateway's or Lambda's; lines with the request's other ID match too
	Source    string
	Level     string // minimum: DEBUG, INFO, WARN, ERROR or FATAL; lines without a level are INFO
	Text      string // words that must all occur in the text, in any case
	After     uint64 // only lines with a higher Sequence
	Limit     int    // maximum number, the newest; 0: all
}

// ParseFilter parses a filter from the query parameters method, operation, code (of the error), version, status, min
// and max (durations such as 10ms), error, fault, throttle and cold (1 or 0), text, since and until (an RFC 3339 time,
// or an age such as 15m), and limit. Empty parameters are ignored; unknown and invalid parameters are errors.
func ParseFilter(query url.Values) (Filter, error) {
	p := parser{query: maps.Clone(query)}
	f := Filter{
		Method:      read(&p, "method", anyString),
		Operation:   read(&p, "operation", anyString),
		ErrorCode:   read(&p, "code", anyString),
		Version:     read(&p, "version", anyString),
		Status:      read(&p, "status", status),
		Text:        read(&p, "text", words),
		MinDuration: read(&p, "min", duration),
		MaxDuration: read(&p, "max", duration),
		Error:       read(&p, "error", flag),
		Fault:       read(&p, "fault", flag),
		Throttle:    read(&p, "throttle", flag),
		ColdStart:   read(&p, "cold", flag),
		Since:       read(&p, "since", since),
		Until:       read(&p, "until", since),
		Limit:       read(&p, "limit", limit),
	}
	return f, p.err()
}

// ParseLineFilter parses a filter from the query parameters trace, request, source, level, text, after (a sequence
// number) and limit. Errors are those of [ParseFilter].
func ParseLineFilter(query url.Values) (LineFilter, error) {
	p := parser{query: maps.Clone(query)}
	f := LineFilter{
		TraceID:   read(&p, "trace", words),
		RequestID: read(&p, "request", anyString),
		Source:    read(&p, "source", anyString),
		Level:     read(&p, "level", level),
		Text:      read(&p, "text", words),
		After:     read(&p, "after", sequence),
		Limit:     read(&p, "limit", limit),
	}
	return f, p.err()
}

// parser parses query parameters and collects the errors.
type parser struct {
	query    url.Values // not yet read
	names    []string   // of the parameters that were read
	failures []error
}

// read parses a parameter. If it is repeated, the last value takes precedence.
func read[T any](p *parser, name string, parse func(string) (T, error)) (parsed T) {
	p.names = append(p.names, name)
	for _, value := range p.query[name] {
		if value = strings.TrimSpace(value); value == "" {
			continue
		}
		var err error
		if parsed, err = parse(value); err != nil {
			p.failures = append(p.failures, fmt.Errorf("%s=%s: %w", name, value, err))
		}
	}
	delete(p.query, name)
	return parsed
}

// err returns all errors, and one for each parameter that was not read.
func (p *parser) err() error {
	for name := range p.query {
		p.failures = append(p.failures, fmt.Errorf("unknown filter %q: want one of %s", name, strings.Join(p.names, ", ")))
	}
	slices.SortFunc(p.failures, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(p.failures...)
}

func anyString(value string) (string, error) { return value, nil }

// words parses a search: the words, or the trace ID if the value is an X-Amzn-Trace-Id header.
func words(value string) (string, error) { return cmp.Or(trace.HeaderField(value, "Root"), value), nil }

func status(value string) (string, error) {
	if !regexp.MustCompile(`^([1-9]\d{2}|[1-5]xx)$`).MatchString(strings.ToLower(value)) {
		return "", errors.New("want a status code such as 404, or a class such as 2xx, 4xx or 5xx")
	}
	return strings.ToLower(value), nil
}

func duration(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 {
		return 0, errors.New("want a duration such as 10ms or 1.5s")
	}
	return d, nil
}

func flag(value string) (bool, error) {
	b, err := strconv.ParseBool(value)
	if err != nil {
		return false, errors.New("want 1 or 0")
	}
	return b, nil
}

func since(value string) (time.Time, error) {
	if ago, err := environment.ParseDuration(value); err == nil && ago >= 0 {
		return time.Now().Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return at, errors.New("want a time such as 2006-01-02T15:04:05Z, or an age such as 15m or 1d")
	}
	return at, nil
}

func limit(value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return 0, errors.New("want a number of at least 1")
	}
	return n, nil
}

func sequence(value string) (uint64, error) {
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return 0, errors.New("want the sequence number of a line")
	}
	return n, nil
}

func level(value string) (string, error) {
	if rank(value) < 0 {
		return "", errors.New("want DEBUG, INFO, WARN, ERROR or FATAL")
	}
	return value, nil
}

// rank returns the position of a level in the order of severity, or -1 for an unknown level.
func rank(level string) int {
	return slices.Index(logformat.Levels(), strings.ToUpper(level))
}

func (f *Filter) matches(e *entry) bool {
	s := e.summary()
	return (f.Method == "" || strings.EqualFold(f.Method, s.Method)) &&
		(f.Operation == "" || strings.EqualFold(f.Operation, s.Operation)) &&
		(f.ErrorCode == "" || f.ErrorCode == s.ErrorCode) &&
		(f.Version == "" || f.Version == s.Version) &&
		(f.Status == "" || hasStatus(f.Status, s.Status)) &&
		s.Duration >= f.MinDuration &&
		(f.MaxDuration == 0 || s.Duration <= f.MaxDuration) &&
		(!f.Error && !f.Fault && !f.Throttle || f.Error && s.Error || f.Fault && s.Fault || f.Throttle && s.Throttle) &&
		(!f.ColdStart || s.ColdStart) &&
		!s.Start.Before(f.Since) &&
		(f.Until.IsZero() || s.Start.Before(f.Until)) &&
		(f.Text == "" || e.hasWords(strings.Fields(strings.ToLower(f.Text))))
}

func hasStatus(want string, status int) bool {
	class, ok := strings.CutSuffix(want, "xx")
	return want == strconv.Itoa(status) || ok && class == strconv.Itoa(status/100)
}

// hasWords reports whether a string in lower case contains all words.
func hasWords(lower, words string) bool {
	for word := range strings.FieldsSeq(strings.ToLower(words)) {
		if !strings.Contains(lower, word) {
			return false
		}
	}
	return true
}

// matches reports whether a line matches all criteria except RequestID.
func (f *LineFilter) matches(l *Line) bool {
	return (f.TraceID == "" || f.TraceID == l.TraceID) &&
		(f.Source == "" || f.Source == l.Source) &&
		(f.Level == "" || rank(cmp.Or(l.Level, "INFO")) >= rank(f.Level)) &&
		(f.Text == "" || hasWords(strings.ToLower(l.Text), f.Text))
}
