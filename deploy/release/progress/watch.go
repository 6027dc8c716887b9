package progress

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/userrequestapi/userdata/deploy/aws/changeset"
	"github.com/userrequestapi/userdata/deploy/host/ansi"
)

const (
	redrawEvery    = time.Second
	heartbeatEvery = 30 * time.Second // without a terminal
	maxShown       = 12               // resources in progress
)

// watch is the state of the operation that [Printer.Watch] shows.
type watch struct {
	waitsFor map[string][]string
	begun    time.Time

	mu      sync.Mutex // guards the fields below
	pending []string   // resources whose change has not started
	running []running
	done    map[string]bool
}

// running is a resource whose change is in progress.
type running struct {
	id, verb string
	since    time.Time
}

// Watch shows an operation with these changes, and prints each [Printer.Event] of it, until stop is called. waitsFor
// maps each resource to its dependencies.
func (p *Printer) Watch(changes []changeset.Change, waitsFor map[string][]string) (stop func()) {
	w := &watch{waitsFor: waitsFor, begun: time.Now(), done: map[string]bool{}}
	for _, change := range changes {
		w.pending = append(w.pending, change.LogicalID)
	}
	return p.show(w.lines, w)
}

// Live shows the lines that a function returns until stop is called. On a terminal, it redraws them repeatedly;
// elsewhere, unless the output is JSON, it prints them from time to time.
func (p *Printer) Live(lines func() []string) (stop func()) { return p.show(lines, nil) }

func (p *Printer) show(lines func() []string, w *watch) (stop func()) {
	p.setLive(lines, w)
	ctx, cancel := context.WithCancel(context.Background())
	var refreshing sync.WaitGroup
	refreshing.Go(func() { p.refresh(ctx, lines) })
	return func() {
		cancel()
		refreshing.Wait()
		p.setLive(nil, nil)
	}
}

// refresh shows the current lines repeatedly until ctx ends.
func (p *Printer) refresh(ctx context.Context, lines func() []string) {
	redraw, heartbeat := time.NewTicker(redrawEvery), time.NewTicker(heartbeatEvery)
	defer redraw.Stop()
	defer heartbeat.Stop()
	for {
		select {
		case <-redraw.C:
			p.tick()
		case <-heartbeat.C:
			if p.options.Width == nil && !p.options.JSON {
				p.print(message{}, strings.Join(lines(), "\n"))
			}
		case <-ctx.Done():
			return
		}
	}
}

// Event prints an event of the operation that [Printer.Watch] shows.
func (p *Printer) Event(event changeset.Event) {
	p.mu.Lock()
	w := p.watch
	p.mu.Unlock()
	if w == nil {
		return
	}
	status := string(event.Status)
	m := message{Event: "resource", Resource: event.LogicalID, Type: event.Type, Status: status, Reason: event.Reason}
	if event.Stack {
		m.Event = "stack"
		text := ""
		if strings.Contains(status, "ROLLBACK") || strings.HasSuffix(status, "_FAILED") { // others are printed as steps
			text = ansi.Red.Paint(p.options.Color, "    stack "+status)
			if event.Reason != "" {
				text += ": " + event.Reason
			}
		}
		p.print(m, text)
		return
	}
	name := fmt.Sprintf("%s (%s)", event.LogicalID, event.Type)
	switch {
	case strings.HasSuffix(status, "_IN_PROGRESS"):
		w.start(event)
		p.print(m, "")
	case strings.HasSuffix(status, "_FAILED"):
		text := fmt.Sprintf("    x %s: %s after %s", name, status, w.finish(event))
		if event.Reason != "" {
			text += ": " + event.Reason
		}
		p.print(m, ansi.Red.Paint(p.options.Color, text))
	default:
		ok := ansi.Green.Paint(p.options.Color, "ok")
		p.print(m, fmt.Sprintf("    %s %s %s, %s", ok, name, verb(status), w.finish(event)))
	}
}

// start records that a change is in progress. CloudFormation can report that more than once for a resource.
func (w *watch) start(event changeset.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending = slices.DeleteFunc(w.pending, func(id string) bool { return id == event.LogicalID })
	verb := verb(string(event.Status))
	for i := range w.running {
		if w.running[i].id == event.LogicalID {
			w.running[i].verb = verb
			return
		}
	}
	w.running = append(w.running, running{event.LogicalID, verb, event.Time})
}

// finish records that a change has ended, and returns how long it took according to the timestamps of the events.
func (w *watch) finish(event changeset.Event) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done[event.LogicalID] = true
	w.pending = slices.DeleteFunc(w.pending, func(id string) bool { return id == event.LogicalID })
	for i, r := range w.running {
		if r.id == event.LogicalID {
			w.running = slices.Delete(w.running, i, i+1)
			return event.Time.Sub(r.since).Round(time.Second)
		}
	}
	return 0
}

// lines renders the changes in progress and those that wait.
func (w *watch) lines() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := []string{fmt.Sprintf("    %s: %d done, %d in progress, %d waiting",
		time.Since(w.begun).Round(time.Second), len(w.done), len(w.running), len(w.pending))}
	for i, r := range w.running {
		if i == maxShown {
			lines = append(lines, fmt.Sprintf("      … and %d more", len(w.running)-i))
			break
		}
		// Approximate, because since is AWS's clock.
		lines = append(lines, fmt.Sprintf("      %s %s, %s", r.verb, r.id, max(0, time.Since(r.since)).Round(time.Second)))
	}
	for _, id := range w.pending {
		for _, dependency := range w.waitsFor[id] {
			if slices.ContainsFunc(w.running, func(r running) bool { return r.id == dependency }) {
				lines = append(lines, fmt.Sprintf("      %s waits for %s", id, dependency))
				break
			}
		}
		if len(lines) > maxShown+maxShown/2 {
			break
		}
	}
	return lines
}

// verb returns a short form of a resource status.
func verb(status string) string {
	known := map[string]string{
		"CREATE_COMPLETE":    "created",
		"UPDATE_COMPLETE":    "updated",
		"DELETE_COMPLETE":    "deleted",
		"IMPORT_COMPLETE":    "imported",
		"DELETE_SKIPPED":     "retained",
		"CREATE_IN_PROGRESS": "creating",
		"UPDATE_IN_PROGRESS": "updating",
		"DELETE_IN_PROGRESS": "deleting",
		"IMPORT_IN_PROGRESS": "importing",
	}
	return cmp.Or(known[status], strings.ToLower(strings.ReplaceAll(status, "_", " ")))
}
