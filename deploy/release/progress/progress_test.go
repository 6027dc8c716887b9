package progress_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/userrequestapi/userdata/deploy/aws/changeset"
	"github.com/userrequestapi/userdata/deploy/release/progress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func plan() *changeset.Plan {
	return &changeset.Plan{Changes: []changeset.Change{
		{Action: "Add", LogicalID: "GetVersion1", Type: "AWS::Lambda::Version"},
		{
			Action:      "Modify",
			LogicalID:   "GetFunction",
			Type:        "AWS::Lambda::Function",
			Replacement: "False",
			Properties:  []string{"Code"},
		},
		{
			Action:      "Modify",
			LogicalID:   "Table",
			Type:        "AWS::DynamoDB::Table",
			Replacement: "True",
			Properties:  []string{"KeySchema"},
		},
		{
			Action: "Modify", LogicalID: "Key", Type: "AWS::KMS::Key", Replacement: "True", Properties: []string{"KeySpec"},
			Policy: "ReplaceAndRetain",
		},
		{Action: "Remove", LogicalID: "GetVersion0", Type: "AWS::Lambda::Version", Policy: "Retain"},
		{Action: "Remove", LogicalID: "OldAlarm", Type: "AWS::CloudWatch::Alarm", Policy: "Delete"},
		{Action: "Remove", LogicalID: "OldRole", Type: "AWS::IAM::Role"},
	}}
}

func TestPrinter_Plain(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := progress.New(&out, progress.Options{})
	p.Stepf("Building %s", "get")
	p.Notef("one\ntwo")
	p.Plan(plan())
	p.Plan(&changeset.Plan{})
	p.Result(map[string]int{"answer": 42}, "The answer is 42.")
	const want = `==> Building get
    one
    two
    + GetVersion1  AWS::Lambda::Version
    ~ GetFunction  AWS::Lambda::Function  (Code)
    ! Table        AWS::DynamoDB::Table  (REPLACED: KeySchema)
    ! Key          AWS::KMS::Key  (REPLACED: KeySpec; the old one is retained)
    = GetVersion0  AWS::Lambda::Version  (retained: removed from the stack, but not deleted)
    - OldAlarm     AWS::CloudWatch::Alarm
    - OldRole      AWS::IAM::Role
    nothing
The answer is 42.
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

// A plan shows which changes revert drift.
func TestPrinter_Drift(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	progress.New(&out, progress.Options{}).Plan(&changeset.Plan{Changes: []changeset.Change{
		{
			Action:      "Modify",
			LogicalID:   "Get",
			Type:        "T",
			Replacement: "False",
			Properties:  []string{"Timeout"},
			Drift:       "MODIFIED",
		},
		{Action: "Add", LogicalID: "Put", Type: "T", Drift: "DELETED"},
		{Action: "SyncWithActual", LogicalID: "Post", Type: "T", Drift: "MODIFIED"},
	}})
	const want = `    ~ Get   T  (Timeout; was changed outside of a deployment)
    + Put   T  (was deleted outside of a deployment)
    = Post  T  (already matches the template)
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

func TestPrinter_Color(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	progress.New(&out, progress.Options{Color: true}).Plan(plan())
	for line := range strings.SplitSeq(strings.TrimSpace(out.String()), "\n") {
		red := strings.Contains(line, "\x1b[31m")
		if dangerous := strings.Contains(line, "REPLACED") || strings.Contains(line, "- "); red != dangerous {
			t.Errorf("%q: red = %t, want %t", line, red, dangerous)
		}
	}
}

func TestPrinter_JSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := progress.New(&out, progress.Options{JSON: true})
	p.Stepf("Building")
	p.Plan(plan())
	stop := p.Watch(plan().Changes, nil)
	p.Event(event("GetFunction", types.ResourceStatusUpdateFailed, 0, "no"))
	stop()
	p.Result(map[string]int{"answer": 42}, "unused")
	var got []map[string]any
	for line := range strings.Lines(out.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if _, err := time.Parse(time.RFC3339, m["time"].(string)); err != nil {
			t.Error(err)
		}
		delete(m, "time")
		if changes, ok := m["changes"].([]any); ok {
			m["changes"] = len(changes)
		}
		got = append(got, m)
	}
	want := []map[string]any{
		{"event": "step", "message": "Building"},
		{"event": "plan", "changes": 7},
		{
			"event":    "resource",
			"resource": "GetFunction",
			"type":     "AWS::Test::Thing",
			"status":   "UPDATE_FAILED",
			"reason":   "no",
		},
		{"event": "result", "result": map[string]any{"answer": 42.0}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

func event(id string, status types.ResourceStatus, second int, reason string) changeset.Event {
	return changeset.Event{
		Time: time.Unix(int64(second), 0), LogicalID: id, Type: "AWS::Test::Thing", Status: status, Reason: reason,
	}
}

func TestWatch_Plain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := progress.New(&out, progress.Options{})
		stop := p.Watch(plan().Changes, map[string][]string{"GetVersion1": {"GetFunction"}})
		p.Event(event("GetFunction", types.ResourceStatusUpdateInProgress, 1, ""))
		time.Sleep(31 * time.Second) // in the synctest bubble
		p.Event(event("GetFunction", types.ResourceStatusUpdateComplete, 40, ""))
		p.Event(event("GetVersion1", types.ResourceStatusCreateInProgress, 41, ""))
		p.Event(event("GetVersion1", types.ResourceStatusCreateFailed, 43, "no"))
		p.Event(changeset.Event{Stack: true, Status: "UPDATE_ROLLBACK_IN_PROGRESS", Reason: "something failed"})
		stop()
		got := out.String()
		for _, want := range []string{
			"30s: 0 done, 1 in progress, 6 waiting\n      updating GetFunction",
			"GetVersion1 waits for GetFunction\n",
			"    ok GetFunction (AWS::Test::Thing) updated, 39s\n",
			"    x GetVersion1 (AWS::Test::Thing): CREATE_FAILED after 2s: no\n",
			"    stack UPDATE_ROLLBACK_IN_PROGRESS: something failed\n",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("output does not contain %q:\n%s", want, got)
			}
		}
		if strings.Contains(got, "\x1b") {
			t.Errorf("output = %q, want no escape sequences", got)
		}
	})
}

// Redrawn lines are removed in the end, and none is so long that it wraps.
func TestWatch_Terminal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		const width = 40
		p := progress.New(&out, progress.Options{Width: func() int { return width }})
		stop := p.Watch(plan().Changes, map[string][]string{"GetVersion1": {"GetFunction"}})
		p.Event(event("GetFunction", types.ResourceStatusUpdateInProgress, 1, ""))
		time.Sleep(3 * time.Second) // in the synctest bubble
		p.Event(event("GetFunction", types.ResourceStatusUpdateComplete, 4, ""))
		stop()
		if got, want := screen(t, out.String(), width), "    ok GetFunction (AWS::Test::Thing) updated, 3s\n"; got != want {
			t.Errorf("screen = %q, want %q", got, want)
		}
	})
}

// screen returns the lines on a terminal after the output, interpreting the escape sequences that erase lines.
func screen(t *testing.T, output string, width int) string {
	t.Helper()
	var lines []string
	for output != "" {
		if rest, ok := strings.CutPrefix(output, "\x1b["); ok {
			up, after, ok := strings.Cut(rest, "A\x1b[J")
			var n int
			if err := json.Unmarshal([]byte(up), &n); err != nil || !ok || n > len(lines) {
				t.Fatalf("output continues with %q, want a sequence that erases at most the lines %q", rest, lines)
			}
			for _, line := range lines[len(lines)-n:] {
				if len(line) > width {
					t.Errorf("%q wraps, want at most %d characters", line, width)
				}
			}
			lines, output = lines[:len(lines)-n], after
			continue
		}
		line, after, _ := strings.Cut(output, "\n")
		lines, output = append(lines, line), after
	}
	return strings.Join(append(lines, ""), "\n")
}
