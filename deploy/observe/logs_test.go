//nolint:paralleltest // the tests set the environment variables of the AWS SDK
package observe_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/observe"
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
	"github.com/userrequestapi/userdata/deploy/release/stage"
)

// messages returns the field message of each JSON line.
func messages(t *testing.T, shown string) []string {
	t.Helper()
	var all []string
	for encoded := range strings.Lines(shown) {
		var l struct{ Message string }
		if err := json.Unmarshal([]byte(encoded), &l); err != nil {
			t.Fatalf("line %q: want JSON: %v", encoded, err)
		}
		all = append(all, l.Message)
	}
	return all
}

func line(level, message string) string {
	return fmt.Sprintf(`{"level":%q,"message":%q,"function":"f","requestId":"r"}`, level, message)
}

func TestLogs(t *testing.T) {
	f := newFake(t)
	now := time.Now()
	at := func(ago time.Duration) time.Time { return now.Add(-ago) }
	// Each group has several pages, and the groups' lines interleave.
	f.log(getGroup, at(2*time.Hour), line("INFO", "too long ago"))
	for i := range 10 {
		group := getGroup
		if i%3 == 1 {
			group = putGroup
		}
		level := "INFO"
		if i == 4 || i == 6 {
			level = "WARN"
		}
		f.log(group, at(time.Duration(60-i)*time.Second), line(level, strconv.Itoa(i)))
	}
	f.log(putGroup, at(30*time.Second), "panic: oh")
	// The access log has no lines, so its log group does not exist.
	tests := []struct {
		name     string
		settings observe.Settings
		want     []string
	}{
		{"all", observe.Settings{}, []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "panic: oh"}},
		{"latest", observe.Settings{Limit: 3}, []string{"8", "9", "panic: oh"}},
		{"fewer than the limit", observe.Settings{Limit: 30, Functions: []string{"put"}}, []string{"1", "4", "7", "panic: oh"}},
		{"level", observe.Settings{Level: "WARN"}, []string{"4", "6", "panic: oh"}},
		{"latest of a level", observe.Settings{Level: "WARN", Limit: 2}, []string{"6", "panic: oh"}},
		{"functions", observe.Settings{Functions: []string{"get", "access"}}, []string{"0", "2", "3", "5", "6", "8", "9"}},
		{"older lines", observe.Settings{Since: 3 * time.Hour, Functions: []string{"get"}, Limit: 100},
			[]string{"too long ago", "0", "2", "3", "5", "6", "8", "9"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			shown, said, err := f.run(t.Context(), observe.Logs, tt.settings)
			if err != nil {
				t.Fatalf("error = %v, want none; progress:\n%s", err, said)
			}
			if diff := cmp.Diff(tt.want, messages(t, shown)); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}

	t.Run("on a terminal", func(t *testing.T) {
		shown, _, err := f.run(t.Context(), observe.Logs, observe.Settings{Limit: 1, Width: 80, Color: true})
		if err != nil {
			t.Fatal(err)
		}
		if want := "\x1b[2m" + at(30*time.Second).Format("15:04:05.000") + "\x1b[0m put        \x1b[31mpanic: oh\x1b[0m\n"; shown != want {
			t.Errorf("shown %q, want %q", shown, want)
		}
	})
	t.Run("text as JSON", func(t *testing.T) {
		shown, _, err := f.run(t.Context(), observe.Logs, observe.Settings{Limit: 1, JSON: true, Width: 80})
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf(`{"timestamp":%q,"message":"panic: oh","logGroup":%q,"logStream":"2026/11/22/[1]abc"}`+"\n",
			at(30*time.Second).UTC().Format("2006-01-02T15:04:05.000Z"), putGroup)
		if shown != want {
			t.Errorf("shown %s, want %s", shown, want)
		}
	})
	t.Run("no lines", func(t *testing.T) {
		shown, said, err := f.run(t.Context(), observe.Logs, observe.Settings{Functions: []string{"access"}, Level: "ERROR"})
		if err != nil || shown != "" || !strings.Contains(said, "no line of level ERROR or above") {
			t.Errorf("error = %v, shown %q, progress:\n%s\nwant no error, no line and a note", err, shown, said)
		}
	})
	t.Run("unknown function", func(t *testing.T) {
		_, _, err := f.run(t.Context(), observe.Logs, observe.Settings{Functions: []string{"got"}})
		if code(err) != exitcode.Settings || !strings.Contains(err.Error(), "access, execution, get, put") {
			t.Errorf("error = %v with code %d, want the names with code %d", err, code(err), exitcode.Settings)
		}
	})
}

// Without its role, API Gateway writes no log lines, as without requests.
func TestLogs_NoRole(t *testing.T) {
	f := newFake(t)
	f.log(getGroup, time.Now().Add(-time.Minute), `{"level":"INFO","message":"request"}`)
	const problem = "the account's role for that, arn:aws:iam::123456789012:role/service-role/logs, does not exist"
	reports := func(want bool, s observe.Settings) {
		t.Helper()
		shown, said, err := f.run(t.Context(), observe.Logs, s)
		if err != nil || strings.Contains(said, problem) != want {
			t.Errorf("error = %v, want the problem: %t\n%s%s", err, want, shown, said)
		}
		if want && !strings.Contains(said, "run STAGE=test go tool mage deploy") {
			t.Errorf("want the next step in:\n%s", said)
		}
	}
	reports(false, observe.Settings{})
	f.mu.Lock()
	f.noRole = true
	f.mu.Unlock()
	reports(true, observe.Settings{})
	reports(true, observe.Settings{Functions: []string{"access"}})
	reports(false, observe.Settings{Functions: []string{"get"}})

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f.mu.Lock()
	var polls atomic.Int32
	f.onRequest = func(operation string) {
		if operation == "FilterLogEvents" && polls.Add(1) > 20 { // of four log groups
			cancel()
		}
	}
	f.mu.Unlock()
	_, said, err := f.run(ctx, observe.Logs, observe.Settings{Follow: true, Settings: stage.Settings{Poll: time.Millisecond}})
	if err != nil || strings.Count(said, problem) != 1 {
		t.Errorf("error = %v, want the problem once while following:\n%s", err, said)
	}

	f.log(accessGroup, time.Now().Add(-time.Minute), `{"status":"200"}`)
	f.mu.Lock()
	f.onRequest = nil
	f.mu.Unlock()
	reports(false, observe.Settings{}) // lines written before are shown
}

// With a level, the filter patterns exclude lower levels where possible.
func TestLogs_LevelPattern(t *testing.T) {
	f := newFake(t)
	if _, _, err := f.run(t.Context(), observe.Logs, observe.Settings{Level: "ERROR"}); err != nil {
		t.Fatal(err)
	}
	got := map[string]any{}
	for _, call := range f.calls("FilterLogEvents") {
		got[call["logGroupName"].(string)] = call["filterPattern"]
	}
	words := "?ERROR ?FATAL ?error ?Error ?failure ?timeout ?panic ?fault ?signal"
	want := map[string]any{getGroup: words, putGroup: words, accessGroup: `{ $.status = "5*" }`, executionGroup: nil}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("patterns (-want +got):\n%s", diff)
	}
}

// Each ID of a request finds all its lines, also those that only have another ID.
func TestLogs_OneRequest(t *testing.T) {
	f, r := newFake(t), newRequest()
	f.linesOf(r)
	tests := []struct {
		name     string
		settings observe.Settings
		want     int
	}{
		{"API Gateway's request ID", observe.Settings{RequestID: "r-1", Since: 72 * time.Hour}, 5},
		{"Lambda's request ID", observe.Settings{RequestID: "l-1", Since: 72 * time.Hour}, 5},
		{"trace ID, which has the time", observe.Settings{TraceID: r.id}, 5},
		{"trace and request ID", observe.Settings{TraceID: r.id, RequestID: "r-1"}, 5},
		{"level", observe.Settings{TraceID: r.id, Level: "ERROR"}, 3},
		{"limit", observe.Settings{TraceID: r.id, Limit: 2}, 2},
		{"older than the default", observe.Settings{RequestID: "r-1"}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			shown, said, err := f.run(t.Context(), observe.Logs, tt.settings)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(shown, "\n"); n != tt.want || strings.Contains(shown, "r-9") {
				t.Errorf("%d lines, want %d:\n%s", n, tt.want, shown)
			}
			if reported := strings.Contains(said, "no line about r-1"); reported != (tt.want == 0) {
				t.Errorf("progress:\n%s\nwant a note that there is no line: %t", said, tt.want == 0)
			}
		})
	}
}

// screen is the output of a running target.
type screen struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func TestLogs_Follow(t *testing.T) {
	f := newFake(t)
	now := time.Now()
	for i := range 5 { // only the latest are ever shown
		f.log(getGroup, now.Add(time.Duration(i-10)*time.Second), line("INFO", fmt.Sprint("before ", i)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out screen
	done := make(chan error, 1)
	s := observe.Settings{Follow: true, Limit: 2, Out: &out}
	s.Poll = 5 * time.Millisecond
	go func() {
		_, _, err := f.run(ctx, observe.Logs, s)
		done <- err
	}()
	shows := func(want ...string) {
		t.Helper()
		testenv.Eventually(t, fmt.Sprint(want), func() bool { return slices.Equal(messages(t, out.String()), want) })
	}
	shows("before 3", "before 4")
	f.log(putGroup, time.Now(), line("INFO", "new"))
	shows("before 3", "before 4", "new")
	// CloudWatch Logs is temporarily unavailable, and a line is ingested late.
	f.fail("FilterLogEvents", http.StatusServiceUnavailable, "ServiceUnavailableException", "try again")
	f.log(getGroup, now.Add(-3*time.Second), line("INFO", "late"))
	f.log(getGroup, time.Now(), line("INFO", "newer"))
	testenv.Eventually(t, "late and newer", func() bool {
		got := messages(t, out.String())
		slices.Sort(got)
		return slices.Equal(got, []string{"before 3", "before 4", "late", "new", "newer"})
	})
	n := len(f.calls("FilterLogEvents"))
	testenv.Eventually(t, "more polls", func() bool { return len(f.calls("FilterLogEvents")) > n+8 })
	if got := messages(t, out.String()); len(got) != 5 {
		t.Errorf("lines = %q, want each line once", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("error = %v after the end of the context, want none", err)
	}
}

// Follow ends when the credentials expire.
func TestLogs_FollowFails(t *testing.T) {
	f := newFake(t)
	f.log(getGroup, time.Now(), line("INFO", "before"))
	var out screen
	s := observe.Settings{Follow: true, Out: &out, Functions: []string{"get"}}
	s.Poll = time.Millisecond
	f.onRequest = func(string) {
		if out.String() != "" {
			f.fail("FilterLogEvents", http.StatusBadRequest, "ExpiredTokenException", "The security token included in the request is expired")
		}
	}
	_, _, err := f.run(t.Context(), observe.Logs, s)
	if code(err) != exitcode.Account || !strings.Contains(err.Error(), "expired") {
		t.Errorf("error = %v with code %d, want expired credentials with code %d", err, code(err), exitcode.Account)
	}
}

// broken is a pipe without a reader.
type broken struct{}

var errBroken = errors.New("broken pipe")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestOutputFails(t *testing.T) {
	f, r := newFake(t), newRequest()
	f.documents[r.id] = r.documents()
	f.linesOf(r)
	f.log(getGroup, time.Now(), line("INFO", "x"))
	f.summary(time.Now().Add(-time.Minute), nil)
	for name, s := range map[string]observe.Settings{"logs": {}, "latest": {Limit: 1}, "request": {TraceID: r.id}} {
		t.Run(name, func(t *testing.T) {
			s.Out = broken{}
			if _, _, err := f.run(t.Context(), observe.Logs, s); !errors.Is(err, errBroken) {
				t.Errorf("error = %v, want %v", err, errBroken)
			}
		})
	}
	for name, s := range map[string]observe.Settings{"traces": {}, "JSON": {JSON: true}, "trace": {TraceID: r.id}, "trace as JSON": {TraceID: r.id, JSON: true}} {
		t.Run(name, func(t *testing.T) {
			s.Out = broken{}
			if _, _, err := f.run(t.Context(), observe.Traces, s); !errors.Is(err, errBroken) {
				t.Errorf("error = %v, want %v", err, errBroken)
			}
		})
	}
}

// Errors that prevent access to the stage have the next step.
func TestRefused(t *testing.T) {
	denied := func(action string) string {
		return "User: arn:aws:iam::123456789012:user/ops is not authorized to perform: " + action + " because no identity-based policy allows it"
	}
	tests := []struct {
		name  string
		setUp func(*testing.T, *fake)
		do    target
		code  int
		want  string
	}{
		{
			"no stage", func(t *testing.T, f *fake) {
				t.Helper()
				stages := filepath.Join(f.root, "deploy", "stages")
				if err := os.Rename(filepath.Join(stages, "test.yaml"), filepath.Join(stages, "tset.yaml")); err != nil {
					t.Fatal(err)
				}
			},
			observe.Logs, exitcode.Settings, `there is no stage "test" (stages: tset)`,
		},
		{
			"no credentials", func(t *testing.T, _ *fake) {
				t.Helper()
				t.Setenv("AWS_ACCESS_KEY_ID", "")
				t.Setenv("AWS_SECRET_ACCESS_KEY", "")
			},
			observe.Traces, exitcode.Account, "there are no AWS credentials",
		},
		{
			"no Region", func(t *testing.T, _ *fake) {
				t.Helper()
				t.Setenv("AWS_REGION", "")
			},
			observe.Traces, exitcode.Account, "no Region is set",
		},
		{
			"not deployed", func(_ *testing.T, f *fake) { f.cloudFormation.SetStatus("UserRequestAPI-test", "DELETE_COMPLETE") },
			observe.Logs, exitcode.Settings, "stage test is not deployed",
		},
		{
			"no permission to search traces", func(_ *testing.T, f *fake) {
				f.fail("TraceSummaries", http.StatusForbidden, "AccessDeniedException", denied("xray:GetTraceSummaries"))
			},
			observe.Traces, exitcode.Account, "search the traces: arn:aws:iam::123456789012:user/ops may not call xray:GetTraceSummaries: docs/",
		},
		{
			"no permission to search traces, without a reason", func(_ *testing.T, f *fake) {
				f.fail("TraceSummaries", http.StatusForbidden, "AccessDeniedException", "no")
			},
			observe.Traces, exitcode.Account, "the credentials in use may not call xray:GetTraceSummaries",
		},
		{
			"no permission to search logs", func(_ *testing.T, f *fake) {
				f.fail("FilterLogEvents", http.StatusBadRequest, "AccessDeniedException", "no")
			},
			observe.Logs, exitcode.Account, "may not call logs:FilterLogEvents",
		},
		{
			"invalid filter", func(_ *testing.T, f *fake) {
				f.fail("TraceSummaries", http.StatusBadRequest, "InvalidRequestException", "Invalid filter expression")
			},
			observe.Traces, exitcode.Failed, "search the traces: Invalid filter expression",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			tt.setUp(t, f)
			shown, _, err := f.run(t.Context(), tt.do, observe.Settings{})
			if code(err) != tt.code || !strings.Contains(fmt.Sprint(err), tt.want) || shown != "" {
				t.Errorf("error = %v with code %d, want %q with code %d; shown %q", err, code(err), tt.want, tt.code, shown)
			}
		})
	}
}
