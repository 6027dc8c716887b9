package logging_test

import (
	"bytes"
	"log"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/userrequestapi/userdata/shared/logging"
)

func TestStandard(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		printed string
		want    map[string]any
	}{
		"lambda runtime client": {
			"/home/build/go/pkg/mod/github.com/aws/aws-lambda-go@v1.55.1/lambda/invoke_loop.go:106: " +
				"{\"errorMessage\":\"a: b\"}\n",
			map[string]any{
				"level": "ERROR", "message": "lambda runtime client",
				"source": "aws-lambda-go@v1.55.1/lambda/invoke_loop.go:106", "error": `{"errorMessage":"a: b"}`,
			},
		},
		"built with -trimpath": {
			"github.com/aws/aws-lambda-go@v1.55.1/lambda/entry.go:88: two\nlines\n",
			map[string]any{
				"level": "ERROR", "message": "lambda runtime client", "source": "aws-lambda-go@v1.55.1/lambda/entry.go:88",
				"error": "two\nlines",
			},
		},
		"net/http": {
			"net/http/transport.go:2482: Unsolicited response received on idle HTTP channel starting with \"ada\"; err=<nil>\n",
			map[string]any{"level": "WARN", "message": "library", "source": "net/http/transport.go:2482"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			logger, err := logging.New(&out, logging.Config{})
			if err != nil {
				t.Fatal(err)
			}
			w := logging.Standard(func() *zap.Logger { return logger.With(zap.String("requestId", "r-1")) })
			if n, err := w.Write([]byte(test.printed)); n != len(test.printed) || err != nil {
				t.Errorf("got %d bytes and error %v, want %d and none", n, err, len(test.printed))
			}
			got := decode(t, out.String())
			if len(got) != 1 {
				t.Fatalf("got %d lines, want 1: %s", len(got), &out)
			}
			delete(got[0], "timestamp")
			test.want["requestId"] = "r-1"
			if diff := cmp.Diff(test.want, got[0]); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestStandardWithLogger(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger, err := logging.New(&out, logging.Config{})
	if err != nil {
		t.Fatal(err)
	}
	log.New(logging.Standard(func() *zap.Logger { return logger }), "", log.Llongfile).Print("ada@example.com")
	got := decode(t, out.String())
	if len(got) != 1 || got[0]["message"] != "library" || bytes.Contains(out.Bytes(), []byte("ada")) {
		t.Fatalf("got %s, want one line without the message", &out)
	}
	if source, _ := got[0]["source"].(string); !strings.Contains(source, "standard_test.go:") {
		t.Errorf("got source %q, want this file and a line", source)
	}
}
