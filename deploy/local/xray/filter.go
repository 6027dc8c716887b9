package xray

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
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
	Status      string        // "404", or a class: "2xx", "4xx", "5xx"
	Text        string        // words that must all occur in IDs, names, URLs, annotations, causes, tables or log lines
	MinDuration time.Duration // 0: any
	MaxDuration time.Duration // 0: any
	Error       bool          // of Error, Fault and Throttle, a trace needs one of those that are set
	Fault       bool
	Throttle    bool
	ColdStart   bool      // only cold starts
	Since       time.Time // only traces that started at this time or later
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

// ParseFilter parses a filter from the query parameters method, operation, status, min and max (durations such as
// 10ms), error, fault, throttle and cold (1 or 0), text, since (an RFC 3339 time, or an age such as 15m), and limit.
// Empty parameters are ignored; unknown and invalid parameters are errors.
func ParseFilter(query url.Values) (Filter, error) {
	var f Filter
	err := parse(query, map[string]func(string) error{
		"method":    text(&f.Method),
		"operation": text(&f.Operation),
		"status":    status(&f.Status),
		"text":      words(&f.Text),
		"min":       duration(&f.MinDuration),
		"max":       duration(&f.MaxDuration),
		"error":     flag(&f.Error),
		"fault":     flag(&f.Fault),
		"throttle":  flag(&f.Throttle),
		"cold":      flag(&f.ColdStart),
		"since":     since(&f.Since),
		"limit":     limit(&f.Limit),
	})
	return f, err
}

// ParseLineFilter parses a filter from the query parameters trace, request, source, level, text, after (a sequence
// number) and limit. Errors are those of [ParseFilter].
func ParseLineFilter(query url.Values) (LineFilter, error) {
	var f LineFilter
	err := parse(query, map[string]func(string) error{
		"trace":   words(&f.TraceID),
		"request": text(&f.RequestID),
		"source":  text(&f.Source),
		"level":   level(&f.Level),
		"text":    words(&f.Text),
		"after":   sequence(&f.After),
		"limit":   limit(&f.Limit),
	})
	return f, err
}

// parse parses each parameter with its function in parameters.
func parse(query url.Values, parameters map[string]func(string) error) error {
	var failures []error
	for name, values := range query {
		read, ok := parameters[name]
		if !ok {
			failures = append(failures, fmt.Errorf("unknown filter %q", name))
			continue
		}
		for _, value := range values {
			if value = strings.TrimSpace(value); value == "" {
				continue
			}
			if err := read(value); err != nil {
				failures = append(failures, fmt.Errorf("%s=%s: %w", name, value, err))
			}
		}
	}
	slices.SortFunc(failures, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(failures...)
}

func text(to *string) func(string) error {
	return func(value string) error {
		*to = value
		return nil
	}
}

// words parses a search: the words, or the trace ID if the value is an X-Amzn-Trace-Id header.
func words(to *string) func(string) error {
	return func(value string) error {
		*to = cmp.Or(trace.HeaderField(value, "Root"), value)
		return nil
	}
}

func status(to *string) func(string) error {
	return func(value string) error {
		value = strings.ToLower(value)
		digits := strings.TrimSuffix(value, "xx")
		number, err := strconv.Atoi(digits)
		if err != nil || len(value) != 3 || len(digits) == 1 && (number < 1 || number > 5) ||
			len(digits) == 3 && number < 100 {
			return errors.New("want a status code such as 404, or a class such as 2xx, 4xx or 5xx")
		}
		*to = value
		return nil
	}
}

func duration(to *time.Duration) func(string) error {
	return func(value string) error {
		d, err := time.ParseDuration(value)
		if err != nil || d < 0 {
			return errors.New("want a duration such as 10ms or 1.5s")
		}
		*to = d
		return nil
	}
}

func flag(to *bool) func(string) error {
	return func(value string) error {
		b, err := strconv.ParseBool(value)
		if err != nil {
			return errors.New("want 1 or 0")
		}
		*to = b
		return nil
	}
}

func since(to *time.Time) func(string) error {
	return func(value string) error {
		if ago, err := environment.ParseDuration(value); err == nil && ago >= 0 {
			*to = time.Now().Add(-ago)
			return nil
		}
		at, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return errors.New("want a time such as 2006-01-02T15:04:05Z, or an age such as 15m or 1d")
		}
		*to = at
		return nil
	}
}

func limit(to *int) func(string) error {
	return func(value string) error {
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			return errors.New("want a number of at least 1")
		}
		*to = n
		return nil
	}
}

func sequence(to *uint64) func(string) error {
	return func(value string) error {
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return errors.New("want the sequence number of a line")
		}
		*to = n
		return nil
	}
}

func level(to *string) func(string) error {
	return func(value string) error {
		if rank(value) < 0 {
			return errors.New("want DEBUG, INFO, WARN, ERROR or FATAL")
		}
		*to = value
		return nil
	}
}

// rank returns the position of a level in the order of severity, or -1 for an unknown level.
func rank(level string) int {
	return slices.Index(logformat.Levels(), strings.ToUpper(level))
}

func (f *Filter) matches(e *entry) bool {
	s := e.summary()
	return (f.Method == "" || strings.EqualFold(f.Method, s.Method)) &&
		(f.Operation == "" || strings.EqualFold(f.Operation, s.Operation)) &&
		(f.Status == "" || hasStatus(f.Status, s.Status)) &&
		s.Duration >= f.MinDuration &&
		(f.MaxDuration == 0 || s.Duration <= f.MaxDuration) &&
		(!f.Error && !f.Fault && !f.Throttle || f.Error && s.Error || f.Fault && s.Fault || f.Throttle && s.Throttle) &&
		(!f.ColdStart || s.ColdStart) &&
		!s.Start.Before(f.Since) &&
		(f.Text == "" || hasWords(e.text(), f.Text))
}

func hasStatus(want string, status int) bool {
	class, ok := strings.CutSuffix(want, "xx")
	return want == strconv.Itoa(status) || ok && class == strconv.Itoa(status/100)
}

// hasWords reports whether text, which is in lower case, contains all words.
func hasWords(text, words string) bool {
	for word := range strings.FieldsSeq(strings.ToLower(words)) {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// matches reports whether a line matches all criteria except RequestID.
func (f *LineFilter) matches(l Line) bool {
	return (f.TraceID == "" || f.TraceID == l.TraceID) &&
		(f.Source == "" || f.Source == l.Source) &&
		(f.Level == "" || rank(cmp.Or(l.Level, "INFO")) >= rank(f.Level)) &&
		(f.Text == "" || hasWords(strings.ToLower(l.Text), f.Text))
}
