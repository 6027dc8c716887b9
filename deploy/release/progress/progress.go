// Package progress prints the progress of a mage target: as lines that are redrawn on a terminal, as plain lines
// elsewhere, or as JSON lines.
package progress

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/userrequestapi/userdata/deploy/aws/changeset"
	"github.com/userrequestapi/userdata/deploy/host/ansi"
)

// Options configure the output of a [Printer].
type Options struct {
	JSON  bool       // one object per line, instead of text
	Color bool       // ANSI colors
	Width func() int // the terminal's columns, for lines that are redrawn each second; nil disables redrawing
}

// Printer writes progress. It is safe for concurrent use and ignores write errors, because a failed write must not
// stop a deployment.
type Printer struct {
	options Options

	mu    sync.Mutex // guards the fields below
	out   io.Writer
	drawn int             // lines at the end of the output that are redrawn
	watch *watch          // the change set whose lines are redrawn; nil if there is none
	live  func() []string // returns the lines that are redrawn; nil if there are none
}

// New returns a printer to out.
func New(out io.Writer, options Options) *Printer { return &Printer{out: out, options: options} }

// JSON reports whether p prints JSON.
func (p *Printer) JSON() bool { return p.options.JSON }

const defaultWidth = 80 // columns

// Open returns a printer to a file. If the file is a terminal, TERM is not dumb and asJSON is false, it redraws lines,
// in color unless NO_COLOR is set.
func Open(file *os.File, asJSON bool, getenv func(string) string) *Printer {
	options := Options{JSON: asJSON}
	if term.IsTerminal(int(file.Fd())) && !asJSON && getenv("TERM") != "dumb" {
		options.Color = getenv("NO_COLOR") == ""
		options.Width = func() int {
			width, _, err := term.GetSize(int(file.Fd()))
			if err != nil || width <= 0 { // some terminals do not report it
				return defaultWidth
			}
			return width
		}
	}
	return New(file, options)
}

// Stepf prints the start of a step.
func (p *Printer) Stepf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	p.print(message{Event: "step", Message: text}, ansi.Bold.Paint(p.options.Color, "==> "+text))
}

// Notef prints a detail of the current step.
func (p *Printer) Notef(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	p.print(message{Event: "note", Message: text}, "    "+strings.ReplaceAll(text, "\n", "\n    "))
}

// Result prints the result of a target: value as JSON, or text.
func (p *Printer) Result(value any, text string) {
	p.print(message{Event: "result", Result: value}, text)
}

// Plan prints the changes of a change set. Replacements are red, and so are deletions, except of resources
// that are retained.
func (p *Printer) Plan(plan *changeset.Plan) {
	width := 0
	for _, change := range plan.Changes {
		width = max(width, len(change.LogicalID))
	}
	lines := []string{"    nothing"}
	if len(plan.Changes) > 0 {
		lines = nil
	}
	for _, change := range plan.Changes {
		sign, color, note := describe(change)
		line := fmt.Sprintf("    %s %-*s  %s", sign, width, change.LogicalID, change.Type)
		if note != "" {
			line += "  (" + note + ")"
		}
		lines = append(lines, color.Paint(p.options.Color, line))
	}
	changes := plan.Changes
	if changes == nil {
		changes = []changeset.Change{}
	}
	p.print(message{Event: "plan", Changes: changes}, strings.Join(lines, "\n"))
}

// describe returns the sign, color and note of a change.
func describe(change changeset.Change) (sign string, color ansi.Style, note string) {
	note = strings.Join(change.Properties, ", ")
	switch change.Drift {
	case "MODIFIED":
		note += "; was changed outside of a deployment"
	case "DELETED":
		note += "; was deleted outside of a deployment"
	}
	if change.Retains() {
		note += "; the old one is retained"
	}
	note = strings.TrimPrefix(note, "; ")
	switch {
	case change.Action == "SyncWithActual":
		return "=", ansi.Faint, "already matches the template"
	case change.Replacement == "True":
		return "!", ansi.Red, "REPLACED: " + note
	case change.Replacement == "Conditional":
		return "!", ansi.Red, "may be REPLACED: " + note
	case change.Action == "Remove" && change.Retains():
		return "=", ansi.Faint, "retained: removed from the stack, but not deleted"
	case change.Action == "Remove":
		return "-", ansi.Red, note
	case change.Action == "Import":
		return "+", ansi.Green, "imported: it exists already"
	case change.Action == "Add":
		return "+", ansi.Green, note
	default:
		return "~", ansi.Yellow, note
	}
}

// Error prints an error and the exit code as JSON. Without JSON, it prints nothing: the caller prints the error.
func (p *Printer) Error(code int, err error) {
	p.print(message{Event: "error", Message: err.Error(), Code: code}, "")
}

// message is a line of the JSON form.
type message struct {
	Time     string             `json:"time"`
	Event    string             `json:"event"` // step, note, plan, resource, stack, result, error
	Message  string             `json:"message,omitempty"`
	Code     int                `json:"code,omitempty"`
	Changes  []changeset.Change `json:"changes,omitzero"` // nil is omitted, empty is a plan without changes
	Resource string             `json:"resource,omitempty"`
	Type     string             `json:"type,omitempty"`
	Status   string             `json:"status,omitempty"`
	Reason   string             `json:"reason,omitempty"`
	Result   any                `json:"result,omitempty"`
}

// print writes m if p prints JSON, and text otherwise. An empty text is not printed.
func (p *Printer) print(m message, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.options.JSON {
		m.Time = time.Now().UTC().Format(time.RFC3339)
		encoder := json.NewEncoder(p.out)
		encoder.SetEscapeHTML(false)
		_ = encoder.Encode(m)
		return
	}
	if text == "" {
		return
	}
	p.erase()
	_, _ = fmt.Fprintln(p.out, text)
	p.redraw()
}

// erase removes the redrawn lines.
func (p *Printer) erase() {
	if p.drawn > 0 {
		_, _ = fmt.Fprintf(p.out, "\x1b[%dA\x1b[J", p.drawn)
		p.drawn = 0
	}
}

func (p *Printer) redraw() {
	if p.live == nil || p.options.Width == nil {
		return
	}
	p.erase()
	width := p.options.Width()
	for _, line := range p.live() {
		if runes := []rune(line); len(runes) >= width { // erase would count a wrapped line as one
			line = string(runes[:max(0, width-1)])
		}
		_, _ = fmt.Fprintln(p.out, ansi.Faint.Paint(p.options.Color, line))
		p.drawn++
	}
}

// setLive sets the function that returns the lines to redraw, and the change set that they show, if any. nil removes
// both.
func (p *Printer) setLive(lines func() []string, w *watch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	p.live, p.watch = lines, w
	p.redraw()
}

func (p *Printer) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.redraw()
}
