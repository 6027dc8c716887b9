package e2e_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local"
	"github.com/userrequestapi/userdata/deploy/local/lambda"
	"github.com/userrequestapi/userdata/tests/stacktest"
)

// TestLoad sends many concurrent requests. Each trace has exactly the spans of its request, all of them complete. The
// memory of the functions and of the stack must stop growing.
func TestLoad(t *testing.T) { //nolint:paralleltest // it measures the memory of this process
	t.Run("300 requests", func(t *testing.T) { testLoad(t, 300) })
	t.Run("10,000 requests", func(t *testing.T) { //nolint:paralleltest // as above
		testenv.SkipUnlessAll(t)
		testLoad(t, 10_000)
	})
}

func testLoad(t *testing.T, requests int64) {
	t.Helper()
	const senders = 8
	memory := functionMemory{}
	s := stacktest.Start(t, func(cfg *local.Config) {
		cfg.Log, cfg.AccessLog = memory.record, nil // which keeps no lines
	})
	s.Do(t, "POST", "/users", `{"userId": "ada"}`).Want(t, 201)
	kinds := []struct {
		method, path, body string
		status             int
		want               string // the function's own spans
	}{
		{"GET", "/users/ada", "", 200, "getUser Success; DynamoDB GetItem"},
		{"GET", "/users/nobody", "", 404, "getUser Error UserNotFound; DynamoDB GetItem"},
		{"POST", "/users", `{"userId": "ada"}`, 409, "createUser Error UserExists; DynamoDB PutItem"},
		{"DELETE", "/users/nobody", "", 404, "deleteUser Error UserNotFound; DynamoDB GetItem"},
		{"PUT", "/users/nobody", `{}`, 404, "replaceUser Error UserNotFound; DynamoDB GetItem"},
	}
	var (
		next  atomic.Int64
		group sync.WaitGroup
		half  sync.Once
		heap  uint64
	)
	ctx, cancel := testenv.WithDeadline(t.Context(), t)
	defer cancel()
	for range senders {
		group.Go(func() {
			for i := next.Add(1); i <= requests && !t.Failed(); i = next.Add(1) {
				if i > requests/2 {
					half.Do(func() { heap = heapInUse(); memory.mark() })
				}
				kind := kinds[int(i)%len(kinds)]
				id, header := stacktest.NewTrace()
				s.Do(t, kind.method, kind.path, kind.body, header).Want(t, kind.status)
				wantOwnSpans(ctx, t, s, id, kind.want)
			}
		})
	}
	group.Wait()
	const tolerance = 16 << 20 // bytes of garbage
	if after := heapInUse(); after > heap+tolerance {
		t.Errorf("the stack's memory keeps growing: %d MB after half of the requests, %d MB after all", heap>>20, after>>20)
	}
	memory.wantLevel(t)
}

// wantOwnSpans waits for the complete trace and checks the spans of the function.
func wantOwnSpans(ctx context.Context, t *testing.T, s *stacktest.TestStack, id, want string) {
	t.Helper()
	var got []string
	for ; len(got) == 0; time.Sleep(time.Millisecond) {
		if ctx.Err() != nil {
			t.Errorf("trace %s is not complete", id)
			return
		}
		detail, ok := s.Collector.Trace(id)
		if !ok || !detail.Trace.Summary().Complete {
			continue
		}
		for _, span := range detail.Trace.Walk {
			if span.EndTime < span.StartTime || span.InProgress || span.Orphan {
				t.Errorf("span %s of trace %s has no end or no parent", span.Name, id)
			}
			switch outcome, operation := span.Annotations["Outcome"], span.AWS["table_name"]; {
			case outcome != nil && span.Annotations["ErrorCode"] != nil:
				got = append(got, fmt.Sprint(span.Name, " ", outcome, " ", span.Annotations["ErrorCode"]))
			case outcome != nil:
				got = append(got, fmt.Sprint(span.Name, " ", outcome))
			case operation != nil:
				got = append(got, fmt.Sprint(span.Name, " ", span.AWS["operation"]))
			}
		}
	}
	if text := strings.Join(got, "; "); text != want {
		t.Errorf("trace %s has %q, want %q", id, text, want)
	}
}

func heapInUse() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// functionMemory records the maximum memory used by an execution environment.
type functionMemory struct {
	mu          sync.Mutex
	most, until int // in MB: the maximum, and the maximum when mark was called
}

func (m *functionMemory) record(e lambda.Event) {
	if report, ok := e.Record.(lambda.Report); ok {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.most = max(m.most, report.Metrics.MaxMemoryUsedMB)
	}
}

func (m *functionMemory) mark() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.until = m.most
}

func (m *functionMemory) wantLevel(t *testing.T) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	const tolerance = 10 // MB
	t.Logf("functions used at most %d MB, of which %d MB in the first half", m.most, m.until)
	if m.until == 0 || m.most > m.until+tolerance {
		t.Errorf("the memory of the functions keeps growing: at most %d MB in the first half, then %d MB", m.until, m.most)
	}
}
