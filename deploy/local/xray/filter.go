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
	Text        string        // words that must all occur, in any case, in ids, names, URL, annotations, causes, tables or log lines
	MinDuration time.Duration // 0: any
	MaxDuration time.Duration // 0: any
	Error       bool          // with Fault and Throttle: traces that have any of those that are set
	Fault       bool
	Throttle    bool
	ColdStart   bool      // only cold starts
	Since       time.Time // begun at this time or later
	Limit       int       // how many at most, the newest; 0: all
}

// LineFilter selects log lines. The zero value selects all.
type LineFilter struct {
	TraceID   string
	RequestID string // API Gateway's or Lambda's: lines with the other one match too
	Source    string
	Level     string // this level or a higher one: DEBUG, INFO, WARN, ERROR, FATAL; lines without a level are INFO
	Text      string // words that must all occur in the text, in any case
	After     uint64 // only lines with a higher Sequence
	Limit     int    // how many at most, the last; 0: all
}

// ParseFilter reads a filter from a query: method, operation, status, min and max (durations such as 10ms), error, fault,
// throttle and cold (1 or 0), text, since (a time as in RFC 3339, or how long ago, such as 15m), limit. A parameter that is
// empty is as good as absent; others are refused, with an error that says what to write.
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

// ParseLineFilter reads a filter from a query: trace, request, source, level, text, after (a sequence), limit. It refuses what
// [ParseFilter] would.
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

// parse gives each parameter to the one that reads it.
func parse(query url.Values, parameters map[string]func(string) error) error {
	var failures []error
	for name, values := range query {
		read, ok := parameters[name]
		if !ok {
			failures = append(failures, fmt.Errorf("there is no filter %q", name))
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

// words reads what to search for, of a whole X-Amzn-Trace-Id the trace's id.
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
		if err != nil || len(value) != 3 || len(digits) == 1 && (number < 1 || number > 5) || len(digits) == 3 && number < 100 {
			return errors.New("use a status such as 404, or 2xx, 4xx or 5xx")
		}
		*to = value
		return nil
	}
}

func duration(to *time.Duration) func(string) error {
	return func(value string) error {
		d, err := time.ParseDuration(value)
		if err != nil || d < 0 {
			return errors.New("use a duration such as 10ms or 1.5s")
		}
		*to = d
		return nil
	}
}

func flag(to *bool) func(string) error {
	return func(value string) error {
		b, err := strconv.ParseBool(value)
		if err != nil {
			return errors.New("use 1 or 0")
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
			return errors.New("use a time such as 2006-01-02T15:04:05Z, or how long ago, such as 15m or 1d")
		}
		*to = at
		return nil
	}
}

func limit(to *int) func(string) error {
	return func(value string) error {
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			return errors.New("use a number from 1")
		}
		*to = n
		return nil
	}
}

func sequence(to *uint64) func(string) error {
	return func(value string) error {
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return errors.New("use the sequence of a line")
		}
		*to = n
		return nil
	}
}

func level(to *string) func(string) error {
	return func(value string) error {
		if rank(value) < 0 {
			return errors.New("use DEBUG, INFO, WARN, ERROR or FATAL")
		}
		*to = value
		return nil
	}
}

// rank orders the levels, -1 for what is none.
func rank(level string) int {
	return slices.Index(logformat.Levels(), strings.ToUpper(level))
}

func (f *Filter) matches(k *kept) bool {
	s := k.summary()
	return (f.Method == "" || strings.EqualFold(f.Method, s.Method)) &&
		(f.Operation == "" || strings.EqualFold(f.Operation, s.Operation)) &&
		(f.Status == "" || hasStatus(f.Status, s.Status)) &&
		s.Duration >= f.MinDuration &&
		(f.MaxDuration == 0 || s.Duration <= f.MaxDuration) &&
		(!f.Error && !f.Fault && !f.Throttle || f.Error && s.Error || f.Fault && s.Fault || f.Throttle && s.Throttle) &&
		(!f.ColdStart || s.ColdStart) &&
		!s.Start.Before(f.Since) &&
		(f.Text == "" || hasWords(k.text(), f.Text))
}

func hasStatus(want string, status int) bool {
	class, ok := strings.CutSuffix(want, "xx")
	return want == strconv.Itoa(status) || ok && class == strconv.Itoa(status/100)
}

// hasWords tells whether text, which is in lower case, contains each of the words.
func hasWords(text, words string) bool {
	for word := range strings.FieldsSeq(strings.ToLower(words)) {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// matches tells whether a line matches all but the request's id.
func (f *LineFilter) matches(l Line) bool {
	return (f.TraceID == "" || f.TraceID == l.TraceID) &&
		(f.Source == "" || f.Source == l.Source) &&
		(f.Level == "" || rank(cmp.Or(l.Level, "INFO")) >= rank(f.Level)) &&
		(f.Text == "" || hasWords(strings.ToLower(l.Text), f.Text))
}
