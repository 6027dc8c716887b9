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

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local"
	"github.com/userrequestapi/userdata/deploy/local/lambda"
	"github.com/userrequestapi/userdata/shared/user/usertest"
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
		cfg.MaxTraces = 1000                        // fewer than half of the requests
	})
	body := usertest.Body(t, `{"userId": "ada"}`)
	s.Do(t, "POST", "/users", body).Want(t, 201)
	kinds := []struct {
		method, path, body string
		status             int
		want               string // the function's own spans
	}{
		{"GET", "/users/ada", "", 200, "getUser Success; DynamoDB GetItem"},
		{"GET", "/users/nobody", "", 404, "getUser Error UserNotFound; DynamoDB GetItem"},
		{"POST", "/users", body, 409, "createUser Error UserExists; DynamoDB PutItem"},
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
		t.Errorf("memory of the stack: %d MB after half of the requests, %d MB after all, want no growth",
			heap>>20, after>>20)
	}
	memory.wantStable(t)
}

// wantOwnSpans waits for the complete trace and checks the spans of the function.
func wantOwnSpans(ctx context.Context, t *testing.T, s *stacktest.TestStack, id, want string) {
	t.Helper()
	var got []string
	for ; len(got) == 0; time.Sleep(time.Millisecond) {
		if ctx.Err() != nil {
			t.Errorf("trace %s: want it complete before the deadline", id)
			return
		}
		detail, ok := s.Collector.Trace(id)
		if !ok || !detail.Trace.Summary().Complete {
			continue
		}
		for _, span := range detail.Trace.Walk {
			if span.EndTime < span.StartTime || span.InProgress || span.Orphan {
				t.Errorf("trace %s: got span %s without an end or a parent, want both", id, span.Name)
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
	if spans := strings.Join(got, "; "); spans != want {
		t.Errorf("trace %s: got spans %q, want %q", id, spans, want)
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
	mu              sync.Mutex
	maximum, atMark int // in MB: the maximum, and the maximum when mark was called
}

func (m *functionMemory) record(e lambda.Event) {
	if report, ok := e.Record.(lambda.Report); ok {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.maximum = max(m.maximum, report.Metrics.MaxMemoryUsedMB)
	}
}

func (m *functionMemory) mark() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.atMark = m.maximum
}

// wantStable checks that the maximum has not grown since mark was called.
func (m *functionMemory) wantStable(t *testing.T) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	const tolerance = 10 // MB
	t.Logf("functions used at most %d MB, and %d MB in the first half", m.maximum, m.atMark)
	if m.atMark == 0 || m.maximum > m.atMark+tolerance {
		t.Errorf("memory of the functions in the first half and in total: %d and %d MB, want no growth", m.atMark, m.maximum)
	}
}
