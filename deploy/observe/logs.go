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
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
	"github.com/userrequestapi/userdata/deploy/release/stage"
)

const (
	defaultSince   = time.Hour
	sinceOfRequest = 24 * time.Hour
	initialLines   = 100 // with Follow
	defaultPoll    = 2 * time.Second

	// The maximum time between log lines of one request: more than the 15 min that a function may run.
	requestWindow = 16 * time.Minute
	// The maximum delay between a line's time and its ingestion by CloudWatch Logs.
	ingestionDelay = 30 * time.Second
	// Older lines are shown with the date.
	recent = 20 * time.Hour
	// Limits the lookups of a trace that many requests belong to.
	maxRelated = 20
)

// Logs shows the stage's log lines by time: as text on a terminal, otherwise as JSON lines. With the ID of a trace or
// request it shows all lines about it, including lines with another ID of the same request, such as Lambda's. With
// Follow it returns nil when the context ends.
func Logs(ctx context.Context, s Settings) error {
	if stage.IsLocal(s.Root, s.Stage) {
		return stage.Finish(ctx, s.Settings, s.localLogs(ctx))
	}
	return stage.Run(ctx, s.Settings, func(ctx context.Context, opened *stage.Stage) error {
		l, err := openLogs(ctx, opened, s.Functions)
		if err != nil {
			return err
		}
		if s.Follow {
			if err := s.follow(ctx, l); ctx.Err() == nil {
				return err
			}
			return nil
		}
		n, err := s.list(ctx, l)
		if err != nil {
			return err
		}
		if n == 0 {
			s.reportNoLines(l)
		}
		s.explainMissing(ctx, l)
		return nil
	})
}

// query returns the query for the settings.
func (s Settings) query(now time.Time) query {
	q := query{from: now.Add(-cmp.Or(s.Since, defaultSince)), level: s.Level}
	if s.RequestID != "" {
		q.terms = append(q.terms, s.RequestID)
		q.from = now.Add(-cmp.Or(s.Since, sinceOfRequest))
	}
	if s.TraceID != "" {
		q.terms = append(q.terms, s.TraceID)
		if s.Since == 0 {
			q.from, q.to = logWindow(startOf(s.TraceID))
		}
	}
	return q
}

// logWindow returns the period that can contain the log lines of a request active at t.
func logWindow(t time.Time) (from, to time.Time) { return t.Add(-requestWindow), t.Add(requestWindow) }

// list shows the existing lines and returns their number.
func (s Settings) list(ctx context.Context, l *logs) (int, error) {
	q := s.query(time.Now())
	switch {
	case len(q.terms) > 0:
		lines, err := l.related(ctx, q)
		if err != nil {
			return 0, err
		}
		lines = slices.DeleteFunc(lines, s.belowLevel)
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
		if s.belowLevel(line) {
			continue
		}
		n++
		if err := s.show(line); err != nil {
			return n, err
		}
	}
	return n, nil
}

// latest returns the last lines of a search by time, at most limit.
func (s Settings) latest(ctx context.Context, l *logs, q query, limit int) ([]line, error) {
	q.newestFirst = true
	var lines []line
	for line, err := range l.search(ctx, q) {
		if err != nil {
			return nil, err
		}
		if s.belowLevel(line) {
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

// explainMissing prints why API Gateway cannot write log lines, if no line of API Gateway was found.
func (s Settings) explainMissing(ctx context.Context, l *logs) {
	if l.groups[accessSource] == "" && l.groups[executionSource] == "" || l.seen[accessSource] || l.seen[executionSource] {
		return
	}
	switch problem, err := l.stage.LogsProblem(ctx, l.release); {
	case ctx.Err() != nil:
	case err != nil:
		s.Printer.Notef("%v", err)
	case problem != "":
		s.Printer.Notef("%s", problem)
	}
}

// reportNoLines reports that no line was found. This is no error: lines arrive with a delay.
func (s Settings) reportNoLines(l *logs) {
	what := "no line"
	if s.Level != "" {
		what += " of level " + s.Level + " or above"
	}
	if id := cmp.Or(s.RequestID, s.TraceID); id != "" {
		what += " about " + id
	}
	s.Printer.Notef("%s in the logs of %s since %s (set SINCE=7d for older lines); new lines appear after some seconds",
		what, l.stage.StackName(), s.query(time.Now()).from.Local().Format(time.DateTime))
}

// follow shows the latest lines, and then new lines as they arrive.
func (s Settings) follow(ctx context.Context, l *logs) error {
	searched := time.Now() // start of the last successful search
	q := s.query(searched)
	limit := cmp.Or(s.Limit, initialLines)
	lines, err := s.latest(ctx, l, q, limit)
	if err != nil {
		return err
	}
	if err := s.show(lines...); err != nil {
		return err
	}
	s.explainMissing(ctx, l)
	shown := map[string]time.Time{}
	for _, line := range lines {
		shown[line.id] = line.at
	}
	if len(lines) == limit { // there may be older lines, which are not shown
		q.from = lines[0].at
	}
	earliest := q.from
	ticker := time.NewTicker(cmp.Or(s.Poll, defaultPoll))
	defer ticker.Stop()
	for {
		if q.from = searched.Add(-ingestionDelay); q.from.Before(earliest) {
			q.from = earliest
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
			if _, ok := shown[line.id]; ok || s.belowLevel(line) {
				continue
			}
			shown[line.id] = line.at
			if err := s.show(line); err != nil {
				return err
			}
		}
		switch {
		case err == nil:
			searched = now
		case awserrors.Temporary(err):
			s.Printer.Notef("%v; retrying", err)
		default:
			return err
		}
	}
}

// belowLevel reports whether the level of a line is below Settings.Level.
func (s Settings) belowLevel(l line) bool {
	return s.Level != "" &&
		slices.Index(logformat.Levels(), logformat.Level(l.logged)) < slices.Index(logformat.Levels(), s.Level)
}

func (s Settings) show(lines ...line) error {
	for _, line := range lines {
		formatted := line.json()
		if !s.JSON && s.Width > 0 {
			if formatted = line.pretty(s.style()); formatted == "" {
				continue
			}
		}
		if _, err := fmt.Fprintln(s.Out, formatted); err != nil {
			return fmt.Errorf("show the logs: %w", err)
		}
	}
	return nil
}

// line is a log line.
type line struct {
	id     string // unique
	at     time.Time
	source string // the short name of the function, access or execution
	group  string
	stream string
	logged string // without the final newline
}

func byTime(a, b line) int { return a.at.Compare(b.at) }

// json returns the line if it is a JSON object, otherwise an object whose field message is the line. It adds the log
// group and stream to an object without the field function.
func (l line) json() string {
	origin, err := json.Marshal(struct {
		LogGroup  string `json:"logGroup"`
		LogStream string `json:"logStream"`
	}{l.group, l.stream})
	if err != nil { // strings only
		panic(err)
	}
	if logformat.IsObject(l.logged) {
		if len(l.logged) == len("{}") || len(logformat.Fields(l.logged, "function")) > 0 {
			return l.logged
		}
		return strings.TrimSuffix(l.logged, "}") + "," + string(origin[1:])
	}
	object, err := json.Marshal(struct {
		Timestamp string `json:"timestamp"`
		Message   string `json:"message"`
	}{l.at.UTC().Format("2006-01-02T15:04:05.000Z07:00"), l.logged})
	if err != nil {
		panic(err)
	}
	return strings.TrimSuffix(string(object), "}") + "," + string(origin[1:])
}

// pretty formats the line for a terminal, or returns "" for a line that is not shown.
func (l line) pretty(style logformat.Style) string {
	formatted := style.Text(l.logged)
	if formatted == "" {
		return ""
	}
	format := "15:04:05.000"
	if time.Since(l.at) > recent {
		format = "Jan _2 " + format
	}
	return fmt.Sprintf("%s %-9s  %s", style.Faint(l.at.Local().Format(format)), l.source, formatted)
}

// logs are log groups of a stage.
type logs struct {
	stage   *stage.Stage
	release *stage.Release
	client  *cloudwatchlogs.Client
	groups  map[string]string // names by short name
	seen    map[string]bool   // the short names of the groups in which lines were found
}

// The short names of API Gateway's log groups.
const (
	accessSource    = "access"
	executionSource = "execution"
)

// openLogs returns the log groups of a deployed stage, or only the wanted ones. A short name is derived from the
// logical ID: GetLogGroup is get, ApiAccessLogGroup is access.
func openLogs(ctx context.Context, opened *stage.Stage, wanted []string) (*logs, error) {
	release, err := opened.Deployed(ctx)
	if err != nil {
		return nil, err
	}
	resources, err := opened.Resources(ctx)
	if err != nil {
		return nil, err
	}
	l := &logs{
		stage: opened, release: release, client: cloudwatchlogs.NewFromConfig(opened.Account.Config),
		groups: map[string]string{}, seen: map[string]bool{},
	}
	for _, r := range resources {
		if r.Type == "AWS::Logs::LogGroup" {
			short := strings.TrimPrefix(strings.TrimSuffix(r.LogicalID, "LogGroup"), "Api")
			l.groups[strings.ToLower(short)] = r.PhysicalID
		}
	}
	for _, name := range wanted {
		if _, ok := l.groups[name]; !ok {
			names := slices.Sorted(maps.Keys(l.groups))
			return nil, exitcode.Errorf(exitcode.Settings, "FUNCTION: want one of %s, got %q", strings.Join(names, ", "), name)
		}
	}
	if len(wanted) > 0 {
		maps.DeleteFunc(l.groups, func(name, _ string) bool { return !slices.Contains(wanted, name) })
	}
	return l, nil
}

// query is a search in log groups.
type query struct {
	terms       []string // each line contains all of them
	level       string   // narrows the search; results may include lower levels
	from, to    time.Time
	newestFirst bool
}

// pattern returns the filter pattern ("Filter pattern syntax", CloudWatch Logs), or nil for none.
func (q query) pattern(source string) *string {
	if len(q.terms) > 0 {
		return aws.String(`"` + strings.Join(q.terms, `" "`) + `"`)
	}
	return levelPattern(source, q.level)
}

// levelPattern returns a filter pattern that excludes most lines below a level, but never a line of the level or above.
// It matches levels, and words in the messages of crashes and timeouts.
func levelPattern(source, level string) *string {
	switch {
	case level != "WARN" && level != "ERROR" && level != "FATAL" || source == executionSource:
		return nil
	case source == accessSource: // its values are strings
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

// search yields the lines of all groups by time. It ends after an error.
func (l *logs) search(ctx context.Context, q query) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		var feeds []*feed
		for _, source := range slices.Sorted(maps.Keys(l.groups)) {
			feeds = append(feeds, l.feed(source, q))
		}
		for {
			if err := fill(ctx, feeds); err != nil {
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

// feed reads the lines of a group.
type feed struct {
	source, group string
	pages         *cloudwatchlogs.FilterLogEventsPaginator
	gone          bool   // the group does not exist
	lines         []line // not yet yielded by search
}

// feed returns the feed of a log group for a query.
func (l *logs) feed(source string, q query) *feed {
	f := &feed{source: source, group: l.groups[source]}
	input := &cloudwatchlogs.FilterLogEventsInput{
		LogGroupName: &f.group, FilterPattern: q.pattern(source),
		StartTime: aws.Int64(q.from.UnixMilli()), StartFromHead: aws.Bool(!q.newestFirst),
	}
	if !q.to.IsZero() {
		input.EndTime = aws.Int64(q.to.UnixMilli())
	}
	f.pages = cloudwatchlogs.NewFilterLogEventsPaginator(l.client, input)
	return f
}

// fill gets the next lines of each feed that has none, concurrently.
func fill(ctx context.Context, feeds []*feed) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, f := range feeds {
		if len(f.lines) > 0 {
			continue
		}
		group.Go(func() error {
			for len(f.lines) == 0 && !f.gone && f.pages.HasMorePages() { // an empty page need not be the last
				if err := f.page(ctx); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// page adds the lines of the next page.
func (f *feed) page(ctx context.Context) error {
	out, err := f.pages.NextPage(ctx)
	if _, f.gone = errors.AsType[*types.ResourceNotFoundException](err); f.gone {
		return nil
	}
	if err != nil {
		return fmt.Errorf("search the log group %s: %w", f.group, awserrors.Explain(err))
	}
	for _, e := range out.Events {
		event := line{
			at:     time.UnixMilli(aws.ToInt64(e.Timestamp)),
			source: f.source,
			group:  f.group,
			stream: aws.ToString(e.LogStreamName),
			logged: strings.TrimRight(aws.ToString(e.Message), "\r\n"),
		}
		event.id = f.group + " " + cmp.Or(aws.ToString(e.EventId), event.stream+" "+event.at.String()+" "+event.logged)
		f.lines = append(f.lines, event)
	}
	return nil
}

// related returns the lines of a query, and other lines about the same requests with other IDs, by time.
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
		for _, id := range requestIDs(line.logged) {
			known := slices.Contains(ids, id) || slices.Equal(q.terms, []string{id})
			if !known && len(ids) < maxRelated {
				ids = append(ids, id)
			}
		}
	}
	from, _ := logWindow(lines[0].at)
	_, to := logWindow(lines[len(lines)-1].at)
	for _, id := range ids {
		if err := find(query{terms: []string{id}, from: from, to: to}); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(lines, byTime)
	return lines, nil
}

// requestIDs returns the valid request IDs in a line.
func requestIDs(logged string) []string {
	ids := logformat.Fields(logged, "requestId", "lambdaRequestId", "integrationRequestId")
	return slices.DeleteFunc(ids, func(id string) bool { return !requestID.MatchString(id) })
}
