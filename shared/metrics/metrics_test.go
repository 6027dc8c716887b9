package metrics_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/userrequestapi/userdata/shared/logging"
	"github.com/userrequestapi/userdata/shared/metrics"
)

func TestFields(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.UTC)
	var out bytes.Buffer
	logger, err := logging.New(&out, logging.Config{Service: "userdata"})
	if err != nil {
		t.Fatal(err)
	}
	fields := metrics.Fields(at,
		metrics.Counter{Namespace: "UserRequestAPI", Name: "Fault", Dimensions: []string{"service", "operation"}},
		metrics.Counter{Namespace: "UserRequestAPI", Name: "ColdStart", Dimensions: []string{"service"}},
	)
	logger.Info("request", append(fields, zap.String("operation", "getUser"))...)

	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("line %q: %v", &out, err)
	}
	delete(got, "timestamp")
	directive := func(name string, dimensions ...any) map[string]any {
		return map[string]any{
			"Namespace":  "UserRequestAPI",
			"Dimensions": []any{dimensions},
			"Metrics":    []any{map[string]any{"Name": name, "Unit": "Count"}},
		}
	}
	want := map[string]any{
		"level": "INFO", "message": "request", "service": "userdata", "operation": "getUser",
		"Fault": 1.0, "ColdStart": 1.0,
		"_aws": map[string]any{
			"Timestamp":         1767323045678.0,
			"CloudWatchMetrics": []any{directive("Fault", "service", "operation"), directive("ColdStart", "service")},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNoCounterAddsNoField(t *testing.T) {
	t.Parallel()
	if got := metrics.Fields(time.Now()); len(got) > 0 {
		t.Errorf("got fields %v, want none", got)
	}
}
