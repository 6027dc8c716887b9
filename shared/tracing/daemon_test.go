package tracing_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/userrequestapi/userdata/shared/logging"
	"github.com/userrequestapi/userdata/shared/tracing"
)

// functionVariable names the function that the test binary runs as another process. The SDK reads the environment
// only during initialization, so each test needs a process with its own environment.
const functionVariable = "TRACING_TEST_FUNCTION"

func TestMain(m *testing.M) {
	if name := os.Getenv(functionVariable); name != "" {
		if err := runFunction(name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// runFunction runs one invocation of the named function, in the other process.
func runFunction(name string) error {
	address := os.Getenv("AWS_XRAY_DAEMON_ADDRESS")
	logger, err := logging.New(os.Stdout, logging.Config{Level: os.Getenv("LOG_LEVEL")})
	if err != nil {
		return err
	}
	if os.Getenv("TRACING_TEST_UNCONFIGURED") == "" {
		if err := tracing.Configure(func() *zap.Logger { return logger }); err != nil {
			logger.Warn("no daemon", zap.Error(err), zap.String("address", address))
		}
	}
	ctx := context.Background()
	if header, ok := os.LookupEnv("TRACING_TEST_HEADER"); ok {
		ctx = invocation{ctx, header}
	}
	if err := run(ctx, name); err != nil {
		return err
	}
	return goleak.Find()
}

// invocation is a context with a trace header, as aws-lambda-go passes it to a handler.
type invocation struct {
	context.Context //nolint:containedctx // it is a context
	header          any
}

func (i invocation) Value(key any) any {
	if key == "x-amzn-trace-id" {
		return i.header
	}
	return i.Context.Value(key)
}

const (
	traceID = "1-5759e988-bd862e3fe1be46a994272793"
	parent  = "53995c3f42cd8ad8"
	sampled = "Root=" + traceID + ";Parent=" + parent + ";Sampled=1;Lineage=1:a87bd80c:0"
)

// invoke runs the function in another process and returns its output. settings, NAME=value, override Lambda's
// variables.
func invoke(t *testing.T, name string, settings ...string) string {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	command := exec.CommandContext(t.Context(), executable)
	command.Stdout, command.Stderr = &output, &output
	command.Env = append([]string{
		functionVariable + "=" + name,
		"LAMBDA_TASK_ROOT=/var/task",
		"AWS_XRAY_CONTEXT_MISSING=LOG_ERROR",
		"AWS_REGION=eu-central-1",
		"AWS_ACCESS_KEY_ID=AKIDEXAMPLE",
		"AWS_SECRET_ACCESS_KEY=secret",
	}, settings...)
	// A binary built with -cover prints a warning without GOCOVERDIR; one built with -race sleeps for a second at
	// exit.
	command.Env = append(command.Env, "GOCOVERDIR="+t.TempDir(), "GORACE=atexit_sleep_ms=0")
	if err := command.Run(); err != nil {
		t.Fatalf("function %s: %v\n%s", name, err, &output)
	}
	return output.String()
}

// document is a subsegment document, with all fields that the service may send.
type document struct {
	ID          string         `json:"id"`
	TraceID     string         `json:"trace_id"`
	ParentID    string         `json:"parent_id"`
	Type        string         `json:"type"`
	Name        string         `json:"name"`
	Namespace   string         `json:"namespace"`
	StartTime   float64        `json:"start_time"`
	EndTime     float64        `json:"end_time"`
	Error       bool           `json:"error"`
	Throttle    bool           `json:"throttle"`
	Fault       bool           `json:"fault"`
	Cause       *cause         `json:"cause"`
	HTTP        map[string]any `json:"http"`
	AWS         map[string]any `json:"aws"`
	Annotations map[string]any `json:"annotations"`
	Subsegments []document     `json:"subsegments"`
	Dummy       bool           `json:"Dummy"`
}

type cause struct {
	Exceptions []exception `json:"exceptions"`
}

type exception struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Message string `json:"message"`
	Remote  bool   `json:"remote"`
}

// documents decodes the payloads. It fails the test for unknown fields.
func documents(t *testing.T, payloads []string) []document {
	t.Helper()
	var decoded []document
	for _, payload := range payloads {
		body, ok := strings.CutPrefix(payload, `{"format": "json", "version": 1}`+"\n")
		if !ok {
			t.Fatalf("got payload %q, want one that begins with the daemon's header", payload)
		}
		decoder := json.NewDecoder(strings.NewReader(body))
		decoder.DisallowUnknownFields()
		var d document
		if err := decoder.Decode(&d); err != nil {
			t.Fatalf("document %s: %v", body, err)
		}
		decoded = append(decoded, d)
	}
	return decoded
}
