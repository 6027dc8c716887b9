package observe

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"golang.org/x/sync/errgroup"

	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
	"github.com/userrequestapi/userdata/deploy/aws/logformat"
	"github.com/userrequestapi/userdata/deploy/release"
)

const (
	defaultSince    = time.Hour
	sinceOfRequest  = 24 * time.Hour
	followedAtFirst = 100 // lines
	defaultPoll     = 2 * time.Second

	// A request's lines are at most this far from the one that is known: longer than a function may run.
	aroundRequest = 16 * time.Minute
	// A line may come into CloudWatch this long after its time.
	latest = 30 * time.Second
	// Of older lines the day is told.
	recent = 20 * time.Hour
	// A trace that clients go on with may have any number of requests.
	maxRelated = 20
)

// Logs shows the lines of the stage's logs, in the order of their times: as text on a terminal, as JSON lines otherwise. With the
// id of a trace or a request it shows all that is about it: also the lines that know it by another id, such as those of Lambda
// itself. With Follow it goes on until the context ends, and that is no error.
func Logs(ctx context.Context, s Settings) error {
	return release.Look(ctx, s.Settings, func(ctx context.Context, d *release.Deployed) error {
		l, err := openLogs(d, s.Functions)
		if err != nil {
			return err
		}
		if s.Follow {
			if err := s.follow(ctx, d, l); ctx.Err() == nil {
				return err
			}
			return nil
		}
		n, err := s.list(ctx, l)
		if err != nil {
			return err
		}
		if n == 0 {
			s.nothing(d)
		}
		s.explainMissing(ctx, d, l)
		return nil
	})
}

// query is what the settings ask for.
func (s Settings) query(now time.Time) query {
	q := query{from: now.Add(-cmp.Or(s.Since, defaultSince)), level: s.Level}
	if s.RequestID != "" {
		q.terms = append(q.terms, s.RequestID)
		q.from = now.Add(-cmp.Or(s.Since, sinceOfRequest))
	}
	if s.TraceID != "" {
		q.terms = append(q.terms, s.TraceID)
		if s.Since == 0 { // its id tells when it began
			q.from, q.to = around(startOf(s.TraceID))
		}
	}
	return q
}

// around returns the time in which the lines of a request are that was at work at a time.
func around(at time.Time) (from, to time.Time) { return at.Add(-aroundRequest), at.Add(aroundRequest) }

// list shows what is there, and tells how many lines that is.
func (s Settings) list(ctx context.Context, l *logs) (int, error) {
	q := s.query(time.Now())
	switch {
	case len(q.terms) > 0:
		lines, err := l.related(ctx, q)
		if err != nil {
			return 0, err
		}
		lines = slices.DeleteFunc(lines, s.below)
		if s.Limit > 0 && len(lines) > s.Limit {
			lines = lines[len(lines)-s.Limit:]
		}
		return len(lines), s.show(lines...)
	case s.Limit > 0:
		lines, err := s.latest(ctx, l, q, s.Limit)
		if err != nil {
			return 0, err
		}
		return len(lines), s.show(lines...)
	}
	n := 0
	for line, err := range l.search(ctx, q) {
		if err != nil {
			return n, err
		}
		if s.below(line) {
			continue
		}
		n++
		if err := s.show(line); err != nil {
			return n, err
		}
	}
	return n, nil
}

// latest returns the last lines of a search, in the order of their times.
func (s Settings) latest(ctx context.Context, l *logs, q query, limit int) ([]line, error) {
	q.newestFirst = true
	var lines []line
	for line, err := range l.search(ctx, q) {
		if err != nil {
			return nil, err
		}
		if s.below(line) {
			continue
		}
		if lines = append(lines, line); len(lines) == limit {
			break
		}
	}
	slices.Reverse(lines)
	slices.SortStableFunc(lines, byTime)
	return lines, nil
}

// explainMissing says why there are no lines of API Gateway, if it can write none. Those of the functions do not depend
// on its role.
func (s Settings) explainMissing(ctx context.Context, d *release.Deployed, l *logs) {
	if l.groups[accessSource] == "" && l.groups[executionSource] == "" || l.seen[accessSource] || l.seen[executionSource] {
		return
	}
	switch problem, err := d.LogsProblem(ctx); {
	case ctx.Err() != nil:
	case err != nil:
		s.Printer.Notef("%v", err)
	case problem != "":
		s.Printer.Notef("%s", problem)
	}
}

// nothing tells that there are no lines. It is no error: they may be yet to come.
func (s Settings) nothing(d *release.Deployed) {
	what := "no line"
	if s.Level != "" {
		what += " of level " + s.Level + " or above"
	}
	if id := cmp.Or(s.RequestID, s.TraceID); id != "" {
		what += " about " + id
	}
	s.Printer.Notef("%s in the logs of %s since %s (SINCE=7d looks further back); new lines take some seconds to come",
		what, d.Stack, s.query(time.Now()).from.Local().Format(time.DateTime))
}

// follow shows the latest lines, and then new ones as they come.
func (s Settings) follow(ctx context.Context, d *release.Deployed, l *logs) error {
	began := time.Now()
	q := s.query(began)
	limit := cmp.Or(s.Limit, followedAtFirst)
	lines, err := s.latest(ctx, l, q, limit)
	if err != nil {
		return err
	}
	if err := s.show(lines...); err != nil {
		return err
	}
	s.explainMissing(ctx, d, l)
	shown := map[string]time.Time{}
	for _, line := range lines {
		shown[line.id] = line.at
	}
	if len(lines) == limit { // those before are not to come now
		q.from = lines[0].at
	}
	first := q.from
	ticker := time.NewTicker(cmp.Or(s.Poll, defaultPoll))
	defer ticker.Stop()
	for {
		if q.from = began.Add(-latest); q.from.Before(first) {
			q.from = first
		}
		maps.DeleteFunc(shown, func(_ string, at time.Time) bool { return at.Before(q.from) })
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		now := time.Now()
		err = nil
		for line, searchErr := range l.search(ctx, q) {
			if err = searchErr; err != nil {
				break
			}
			if _, again := shown[line.id]; again || s.below(line) {
				continue
			}
			shown[line.id] = line.at
			if err := s.show(line); err != nil {
				return err
			}
		}
		switch {
		case err == nil:
			began = now
		case awserrors.Temporary(err):
			s.Printer.Notef("%v; still trying", err)
		default:
			return err
		}
	}
}

// below tells a line of a lower level than is asked for.
func (s Settings) below(l line) bool {
	return s.Level != "" && slices.Index(logformat.Levels(), logformat.Level(l.text)) < slices.Index(logformat.Levels(), s.Level)
}

func (s Settings) show(lines ...line) error {
	for _, line := range lines {
		text := line.json()
		if !s.JSON && s.Width > 0 {
			if text = line.pretty(s.style()); text == "" {
				continue
			}
		}
		if _, err := fmt.Fprintln(s.Out, text); err != nil {
			return fmt.Errorf("show the logs: %w", err)
		}
	}
	return nil
}

// line is a line of a log.
type line struct {
	id     string // tells it from all other lines
	at     time.Time
	source string // the short name of the function, access or execution
	group  string
	stream string
	text   string // as it was written
}

func byTime(a, b line) int { return a.at.Compare(b.at) }

// json returns the line where it is JSON, and else an object with it. One that does not tell its function is completed by its place.
func (l line) json() string {
	place, err := json.Marshal(struct {
		LogGroup  string `json:"logGroup"`
		LogStream string `json:"logStream"`
	}{l.group, l.stream})
	if err != nil { // texts only
		panic(err)
	}
	if logformat.IsObject(l.text) {
		if len(l.text) == 2 || len(logformat.Fields(l.text, "function")) > 0 {
			return l.text
		}
		return strings.TrimSuffix(l.text, "}") + "," + string(place[1:])
	}
	text, err := json.Marshal(struct {
		Timestamp string `json:"timestamp"`
		Message   string `json:"message"`
	}{l.at.UTC().Format("2006-01-02T15:04:05.000Z07:00"), l.text})
	if err != nil {
		panic(err)
	}
	return strings.TrimSuffix(string(text), "}") + "," + string(place[1:])
}

// pretty is the line for a person, empty for one that says nothing.
func (l line) pretty(style logformat.Style) string {
	text := style.Text(l.text)
	if text == "" {
		return ""
	}
	format := "15:04:05.000"
	if time.Since(l.at) > recent {
		format = "Jan _2 " + format
	}
	return fmt.Sprintf("%s %-9s  %s", style.Faint(l.at.Local().Format(format)), l.source, text)
}

// logs are log groups of a stage.
type logs struct {
	client *cloudwatchlogs.Client
	groups map[string]string // names by short names
	seen   map[string]bool   // the short names of groups that lines were found in
}

// The short names of API Gateway's log groups.
const (
	accessSource    = "access"
	executionSource = "execution"
)

// openLogs returns the stage's log groups, or those of them that are wanted. Their short names are made of the template's:
// GetLogGroup is get, ApiAccessLogGroup access.
func openLogs(d *release.Deployed, wanted []string) (*logs, error) {
	l := &logs{
		client: cloudwatchlogs.NewFromConfig(d.Account.Config), groups: map[string]string{}, seen: map[string]bool{},
	}
	for id, name := range d.LogGroups {
		l.groups[strings.ToLower(strings.TrimPrefix(strings.TrimSuffix(id, "LogGroup"), "Api"))] = name
	}
	names := slices.Sorted(maps.Keys(l.groups))
	for _, name := range wanted {
		if !slices.Contains(names, name) {
			return nil, release.WithCode(release.CodeSettings,
				fmt.Errorf("FUNCTION is %q: there are logs of %s", name, strings.Join(names, ", ")))
		}
	}
	if len(wanted) > 0 {
		maps.DeleteFunc(l.groups, func(name, _ string) bool { return !slices.Contains(wanted, name) })
	}
	return l, nil
}

// query is a search in log groups.
type query struct {
	terms       []string // that are in each line
	level       string   // only a help to CloudWatch: lines below it may come as well
	from, to    time.Time
	newestFirst bool
}

// pattern is the query for CloudWatch ("Filter pattern syntax").
func (q query) pattern(source string) *string {
	if len(q.terms) > 0 {
		return aws.String(`"` + strings.Join(q.terms, `" "`) + `"`)
	}
	return levelPattern(source, q.level)
}

// levelPattern leaves out the many lines of usual requests where only others are asked for, but none of those: what has a level of
// its own is found by it, and what crashes or ends before its time by the words that say so.
func levelPattern(source, level string) *string {
	switch {
	case level != "WARN" && level != "ERROR" && level != "FATAL" || source == executionSource:
		return nil
	case source == accessSource: // whose values are texts
		if level == "WARN" {
			return aws.String(`{ ($.status = "4*") || ($.status = "5*") }`)
		}
		return aws.String(`{ $.status = "5*" }`)
	default:
		words := `?ERROR ?FATAL ?error ?Error ?failure ?timeout ?panic ?fault ?signal`
		if level == "WARN" {
			words += ` ?WARN ?Dropped`
		}
		return aws.String(words)
	}
}

// search yields the lines of all groups by their times. It ends at an error.
func (l *logs) search(ctx context.Context, q query) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		var feeds []*feed
		for _, source := range slices.Sorted(maps.Keys(l.groups)) {
			feeds = append(feeds, &feed{source: source, group: l.groups[source]})
		}
		for {
			if err := l.fill(ctx, feeds, q); err != nil {
				yield(line{}, err)
				return
			}
			feeds = slices.DeleteFunc(feeds, func(f *feed) bool { return len(f.lines) == 0 })
			if len(feeds) == 0 {
				return
			}
			next := slices.MinFunc(feeds, func(a, b *feed) int {
				if q.newestFirst {
					a, b = b, a
				}
				return byTime(a.lines[0], b.lines[0])
			})
			first := next.lines[0]
			next.lines = next.lines[1:]
			l.seen[first.source] = true
			if !yield(first, nil) {
				return
			}
		}
	}
}

// feed is what has come of a group and not been taken yet.
type feed struct {
	source, group string
	lines         []line
	next          *string
	begun         bool
}

// empty tells that it is not known what comes next.
func (f *feed) empty() bool { return len(f.lines) == 0 && (!f.begun || f.next != nil) }

// fill gets more of those groups of which nothing is left, all at once.
func (l *logs) fill(ctx context.Context, feeds []*feed, q query) error {
	var empty []*feed
	for _, f := range feeds {
		if f.empty() {
			empty = append(empty, f)
		}
	}
	if empty == nil {
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, f := range empty {
		group.Go(func() error {
			for f.empty() { // a page may have nothing and not be the last
				if err := l.page(ctx, f, q); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

func (l *logs) page(ctx context.Context, f *feed, q query) error {
	input := &cloudwatchlogs.FilterLogEventsInput{
		LogGroupName: &f.group, FilterPattern: q.pattern(f.source), NextToken: f.next,
		StartTime: aws.Int64(q.from.UnixMilli()), StartFromHead: aws.Bool(!q.newestFirst),
	}
	if !q.to.IsZero() {
		input.EndTime = aws.Int64(q.to.UnixMilli())
	}
	out, err := l.client.FilterLogEvents(ctx, input)
	f.begun = true
	if _, ok := errors.AsType[*types.ResourceNotFoundException](err); ok {
		f.next = nil
		return nil
	}
	if err != nil {
		return fmt.Errorf("search the log group %s: %w", f.group, awserrors.Explain(err))
	}
	f.next = out.NextToken
	for _, e := range out.Events {
		event := line{
			at: time.UnixMilli(aws.ToInt64(e.Timestamp)), source: f.source, group: f.group, stream: aws.ToString(e.LogStreamName),
			text: strings.TrimRight(aws.ToString(e.Message), "\r\n"),
		}
		event.id = f.group + " " + cmp.Or(aws.ToString(e.EventId), event.stream+" "+event.at.String()+" "+event.text)
		f.lines = append(f.lines, event)
	}
	return nil
}

// related returns the lines that a query finds, and those about the same requests that know these by other ids, by their times.
func (l *logs) related(ctx context.Context, q query) ([]line, error) {
	var lines []line
	var ids []string
	seen := map[string]bool{}
	find := func(q query) error {
		for line, err := range l.search(ctx, q) {
			if err != nil {
				return err
			}
			if !seen[line.id] {
				seen[line.id] = true
				lines = append(lines, line)
			}
		}
		return nil
	}
	if err := find(q); err != nil || len(lines) == 0 {
		return nil, err
	}
	for _, line := range lines {
		for _, id := range logformat.Fields(line.text, "requestId", "lambdaRequestId", "integrationRequestId") {
			known := slices.Contains(ids, id) || slices.Equal(q.terms, []string{id})
			if !known && requestID.MatchString(id) && len(ids) < maxRelated {
				ids = append(ids, id)
			}
		}
	}
	from, _ := around(lines[0].at)
	_, to := around(lines[len(lines)-1].at)
	for _, id := range ids {
		if err := find(query{terms: []string{id}, from: from, to: to}); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(lines, byTime)
	return lines, nil
}
