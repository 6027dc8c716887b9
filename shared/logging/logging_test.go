package logging_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/userrequestapi/userdata/shared/logging"
)

// decode returns the fields of each line of a log, which must be a JSON object.
func decode(t *testing.T, log string) []map[string]any {
	t.Helper()
	var lines []map[string]any
	for line := range strings.Lines(log) {
		if !strings.HasSuffix(line, "\n") {
			t.Errorf("got line %q, want a newline at the end", line)
		}
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		lines = append(lines, fields)
	}
	return lines
}

func TestLineIsOneJSONObject(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger, err := logging.New(&out, logging.Config{Service: "userdata", Function: "get", Version: "7"})
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now().Truncate(time.Millisecond)
	logger.Warn("two\nlines", zap.Duration("durationMs", 1234567*time.Nanosecond), zap.Error(errors.New("closed")))
	logger.Error("failed")
	lines := decode(t, out.String())
	if len(lines) != 2 {
		t.Fatalf("got %d lines, want 2:\n%s", len(lines), &out)
	}

	stamp, _ := lines[0]["timestamp"].(string)
	at, err := time.Parse("2006-01-02T15:04:05.000Z", stamp)
	if err != nil || at.Before(before) || at.After(time.Now()) {
		t.Errorf("got timestamp %q, error %v, want now in UTC with milliseconds", stamp, err)
	}
	for _, line := range lines {
		delete(line, "timestamp")
	}
	want := []map[string]any{
		{
			"level": "WARN", "message": "two\nlines", "service": "userdata", "function": "get", "version": "7",
			"durationMs": 1.234, "error": "closed",
		},
		{"level": "ERROR", "message": "failed", "service": "userdata", "function": "get", "version": "7"},
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestEmptyFieldsAreOmitted(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger, err := logging.New(&out, logging.Config{Function: "put"})
	if err != nil {
		t.Fatal(err)
	}
	logger.Info("started")
	line := decode(t, out.String())[0]
	delete(line, "timestamp")
	want := map[string]any{"level": "INFO", "message": "started", "function": "put"}
	if diff := cmp.Diff(want, line); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	tests := []struct {
		level, lambdaLevel string
		want               zapcore.Level
	}{
		{"", "", zapcore.InfoLevel},
		{"trace", "", zapcore.DebugLevel},
		{"TRACE", "TRACE", zapcore.DebugLevel},
		{"debug", "", zapcore.DebugLevel},
		{"Info", "", zapcore.InfoLevel},
		{"warn", "", zapcore.WarnLevel},
		{"ERROR", "", zapcore.ErrorLevel},
		{"fatal", "", zapcore.FatalLevel},
		{"debug", "WARN", zapcore.WarnLevel},
		{"error", "DEBUG", zapcore.ErrorLevel},
		{"", "ERROR", zapcore.ErrorLevel},
		{"", "DEBUG", zapcore.InfoLevel},
	}
	for _, tt := range tests {
		t.Run(tt.level+"/"+tt.lambdaLevel, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			logger, err := logging.New(&out, logging.Config{Level: tt.level, LambdaLevel: tt.lambdaLevel})
			if err != nil {
				t.Fatal(err)
			}
			if got := logger.Level(); got != tt.want {
				t.Errorf("level is %v, want %v", got, tt.want)
			}
			logger.Debug("d")
			logger.Info("i")
			logger.Warn("w")
			logger.Error("e")
			want := max(0, int(zapcore.ErrorLevel-tt.want)+1)
			if got := len(decode(t, out.String())); got != want {
				t.Errorf("got %d lines, want %d:\n%s", got, want, &out)
			}
		})
	}
}

func TestUnknownLevel(t *testing.T) {
	t.Parallel()
	tests := []struct {
		setting string
		config  logging.Config
	}{
		{"LOG_LEVEL", logging.Config{Level: "loud"}},
		{"AWS_LAMBDA_LOG_LEVEL", logging.Config{Level: "INFO", LambdaLevel: "loud"}},
	}
	for _, tt := range tests {
		t.Run(tt.setting, func(t *testing.T) {
			t.Parallel()
			_, err := logging.New(&bytes.Buffer{}, tt.config)
			want := tt.setting + `: want TRACE, DEBUG, INFO, WARN, ERROR or FATAL, got "loud"`
			if err == nil || err.Error() != want {
				t.Errorf("got error %v, want %s", err, want)
			}
		})
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger, err := logging.New(&out, logging.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 20 {
				logger.Info("event", zap.String("text", strings.Repeat("x", 500)))
			}
		})
	}
	wg.Wait()
	if got := len(decode(t, out.String())); got != 400 {
		t.Errorf("got %d lines, want 400", got)
	}
}

func TestContext(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger, err := logging.New(&out, logging.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := logging.With(t.Context(), logger.With(zap.String("requestId", "r-1"), logging.UserID("ada@example.com")))
	logging.From(ctx).Info("read")
	line := decode(t, out.String())[0]
	if line["requestId"] != "r-1" {
		t.Errorf("requestId is %v, want r-1", line["requestId"])
	}
	// printf %s ada@example.com | sha256sum | cut -c1-16
	if got, want := line["userIdHash"], "b5fc85e55755f9e0"; got != want {
		t.Errorf("userIdHash is %v, want %v", got, want)
	}
	if strings.Contains(out.String(), "ada") {
		t.Errorf("got %s, want a line without the id", &out)
	}
}

func TestEmptyUserIDAddsNoField(t *testing.T) {
	t.Parallel()
	if got := logging.UserID(""); got != zap.Skip() {
		t.Errorf("got field %v, want none", got)
	}
}

func TestFromWithoutLogger(t *testing.T) {
	t.Parallel()
	logging.From(t.Context()).Error("lost")
	logging.From(logging.With(t.Context(), nil)).Error("lost")
}
