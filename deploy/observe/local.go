package observe

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/userrequestapi/userdata/deploy/aws/logformat"
	"github.com/userrequestapi/userdata/deploy/aws/trace"
	"github.com/userrequestapi/userdata/deploy/host/command"
	"github.com/userrequestapi/userdata/deploy/local/datadir"
	"github.com/userrequestapi/userdata/deploy/local/xray"
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
)

// startHint says how to start the local stack.
func startHint() string { return "start the local stack with " + command.Line{}.Mage("run") }

// noteStopped says that what follows is from an earlier run, if no local stack uses the data folder.
func (s Settings) noteStopped() {
	if !xray.InUse(datadir.Traces(s.DataDir)) {
		s.Printer.Notef("no local stack is running: this is from an earlier run; %s", startHint())
	}
}

// neverStarted returns the error for a data folder that no local stack has used.
func (s Settings) neverStarted() error {
	return exitcode.Errorf(exitcode.Settings, "no local stack has run with the data folder %s: %s", s.DataDir, startHint())
}

// localTraces shows the traces, or the trace, of the local stack.
func (s Settings) localTraces() error {
	documents, err := xray.Read(datadir.Traces(s.DataDir), s.TraceID)
	if errors.Is(err, fs.ErrNotExist) {
		return s.neverStarted()
	}
	if err != nil {
		return err
	}
	s.noteStopped()
	if s.TraceID != "" {
		return s.localTrace(documents[s.TraceID])
	}
	from := time.Now().Add(-cmp.Or(s.Since, defaultSince))
	var summaries []trace.Summary
	for id, parts := range documents {
		t := trace.New(id, parts)
		if summary := t.Summary(); !summary.Start.Before(from) && s.matches(t, summary) {
			summaries = append(summaries, summary)
		}
	}
	if len(summaries) == 0 {
		s.Printer.Notef("no matching trace since %s; set SINCE=7d for older traces", from.Local().Format(time.DateTime))
		return nil
	}
	slices.SortFunc(summaries, newestFirst)
	return s.listTraces(summaries[:min(len(summaries), cmp.Or(s.Limit, defaultTraces))], s.Line.Mage)
}

// matches reports whether a trace matches the filters as X-Ray applies them (see expression).
func (s Settings) matches(t *trace.Trace, summary trace.Summary) bool {
	var fault, failed, throttle bool
	for _, span := range t.Walk {
		fault, failed, throttle = fault || span.Fault, failed || span.Error, throttle || span.Throttle
	}
	status := strconv.Itoa(summary.Status)
	class, isClass := strings.CutSuffix(s.Status, "xx")
	return (!s.Fault && !s.Error && !s.Throttle || s.Fault && fault || s.Error && failed || s.Throttle && throttle) &&
		(s.Slower == 0 || summary.Duration > s.Slower) &&
		(!s.ColdStart || summary.ColdStart) &&
		(s.Operation == "" || s.Operation == summary.Operation) &&
		(s.Status == "" || s.Status == status || isClass && len(status) == len(s.Status) && strings.HasPrefix(status, class))
}

// localTrace shows a trace of the local stack with its log lines.
func (s Settings) localTrace(documents []trace.Document) error {
	id := s.TraceID
	s.RequestID, s.Level, s.Since = "", "", 0
	lines, err := s.openLocalLog().next()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	lines = related(lines, id)
	if len(documents) == 0 {
		missing := fmt.Sprintf("the local stack has no trace %s: it keeps the last 10,000 of sampled requests", id)
		if len(lines) > 0 {
			missing += "; its log lines are above"
		}
		return errors.Join(s.show(lines...), errors.New(missing))
	}
	t := trace.New(id, documents)
	if s.JSON {
		encoded := make([]json.RawMessage, len(documents))
		for i, d := range documents {
			if encoded[i], err = json.Marshal(d); err != nil {
				return fmt.Errorf("show the trace: %w", err)
			}
		}
		return s.encode(t, encoded, lines)
	}
	if err := s.showTree(t, lines); err != nil {
		return err
	}
	if len(lines) == 0 {
		s.Printer.Notef("the log of the last run has no line about this trace")
	}
	return s.show(lines...)
}

// localLogs shows the log of the last run of the local stack.
func (s Settings) localLogs(ctx context.Context) error {
	log := s.openLocalLog()
	lines, err := log.next()
	if errors.Is(err, fs.ErrNotExist) {
		return s.neverStarted()
	}
	if err != nil {
		return err
	}
	s.noteStopped()
	id := cmp.Or(s.RequestID, s.TraceID)
	if id != "" {
		lines = related(lines, id)
	}
	var from time.Time // all lines of a request
	if id == "" || s.Since > 0 {
		from = time.Now().Add(-cmp.Or(s.Since, defaultSince))
	}
	unwanted := func(l line) bool { return l.at.Before(from) || s.belowLevel(l) || !s.wantsSource(l) }
	lines = slices.DeleteFunc(lines, unwanted)
	limit := s.Limit
	if s.Follow {
		limit = cmp.Or(s.Limit, initialLines)
	}
	if limit > 0 && len(lines) > limit {
		lines = lines[len(lines)-limit:]
	}
	if err := s.show(lines...); err != nil {
		return err
	}
	if s.Follow {
		return s.followLocal(ctx, log, unwanted)
	}
	if len(lines) == 0 {
		s.Printer.Notef("no matching line in %s, the log of the last run; SINCE=7d shows older lines", datadir.Log(s.DataDir))
	}
	return nil
}

func (s Settings) wantsSource(l line) bool {
	return len(s.Functions) == 0 || slices.Contains(s.Functions, l.source)
}

// localPoll is the polling interval for new lines of the local stack.
const localPoll = 200 * time.Millisecond

// followLocal shows new lines until ctx ends.
func (s Settings) followLocal(ctx context.Context, log *localLog, unwanted func(line) bool) error {
	ticker := time.NewTicker(cmp.Or(s.Poll, localPoll))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		lines, err := log.next()
		if err == nil {
			err = s.show(slices.DeleteFunc(lines, unwanted)...)
		}
		if err != nil {
			return err
		}
	}
}

// localLog reads the log of the last run, which has the lines in the form of CloudWatch Logs.
type localLog struct {
	name    string
	sources functionNames
	read    int64     // bytes
	last    time.Time // of the last line
}

func (s Settings) openLocalLog() *localLog {
	return &localLog{name: datadir.Log(s.DataDir), sources: functionSources(s.Root)}
}

// next returns the lines that were added since the last call. A new run of the stack empties the file.
func (l *localLog) next() ([]line, error) {
	file, err := os.Open(l.name)
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	defer func() { _ = file.Close() }() // only read from
	info, err := file.Stat()
	if err == nil {
		if info.Size() < l.read {
			l.read = 0
		}
		_, err = file.Seek(l.read, io.SeekStart)
	}
	var lines []line
	for input := bufio.NewReader(file); err == nil; {
		var logged string
		if logged, err = input.ReadString('\n'); err == nil {
			l.read += int64(len(logged))
			lines = append(lines, l.line(strings.TrimSuffix(logged, "\n")))
		}
	}
	if !errors.Is(err, io.EOF) { // the last line may not be complete yet
		return nil, fmt.Errorf("read the log: %w", err)
	}
	return lines, nil
}

func (l *localLog) line(logged string) line {
	read := line{source: accessSource, group: l.name, logged: logged}
	if function := logformat.Fields(logged, "function"); len(function) > 0 {
		read.source = l.sources.of(function[0])
	}
	if at := timeOf(logged); at.After(l.last) { // the access log has only seconds
		l.last = at
	}
	read.at = l.last
	return read
}

// timeOf returns the time in a line of a function, of Lambda or of the access log, or the zero time.
func timeOf(logged string) time.Time {
	for _, value := range logformat.Fields(logged, "timestamp", "time") {
		if at, err := time.Parse(time.RFC3339Nano, value); err == nil {
			return at
		}
	}
	for _, value := range logformat.Fields(logged, "requestTime") {
		if at, err := time.Parse("02/Jan/2006:15:04:05 -0700", value); err == nil {
			return at
		}
	}
	return time.Time{}
}

// functionNames are the names of the folders of functions, the longest first.
type functionNames []string

func functionSources(root string) functionNames {
	entries, err := os.ReadDir(filepath.Join(root, "functions"))
	if err != nil { // the whole names are shown
		return nil
	}
	var names functionNames
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return names
}

// of returns the short name of a function, as openLogs derives it from the logical ID of a log group.
func (names functionNames) of(function string) string {
	for _, name := range names {
		if function == name || strings.HasSuffix(function, "-"+name) {
			return strings.ReplaceAll(name, "-", "")
		}
	}
	return function
}

// related removes the lines that are not about a trace or request. Lines with another ID of the same requests remain.
func related(lines []line, id string) []line {
	ids := map[string]bool{id: true}
	for _, l := range lines {
		if strings.Contains(l.logged, id) {
			for _, other := range requestIDs(l.logged) {
				if len(ids) <= maxRelated {
					ids[other] = true
				}
			}
		}
	}
	return slices.DeleteFunc(lines, func(l line) bool {
		for id := range ids {
			if strings.Contains(l.logged, id) {
				return false
			}
		}
		return true
	})
}
