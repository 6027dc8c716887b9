package function_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/shared/function"
	"github.com/userrequestapi/userdata/shared/request/requesttest"
	"github.com/userrequestapi/userdata/shared/response"
)

// asFunction makes another process of this test's executable a function, since Start does not return.
const asFunction = "TEST_AS_FUNCTION"

func TestMain(m *testing.M) {
	if os.Getenv(asFunction) != "" {
		function.Start(read)
	}
	os.Exit(m.Run())
}

// functionCommand returns a process that is a function with these settings and no others.
func functionCommand(t *testing.T, runtimeAPI string, settings ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append([]string{
		asFunction + "=1",
		"GOCOVERDIR=" + t.TempDir(), // or the coverage of this test is warned about
		"AWS_LAMBDA_RUNTIME_API=" + strings.TrimPrefix(runtimeAPI, "http://"),
	}, settings...)
	return cmd
}

func TestStartWithWrongSettings(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		settings []string
		faults   []string
	}{
		"none": {nil, []string{"SERVICE_NAME", "STAGE", "AWS_REGION"}},
		"one":  {[]string{"STAGE=prod", "AWS_REGION=eu-central-1"}, []string{"SERVICE_NAME"}},
		"log level": {
			[]string{"STAGE=prod", "SERVICE_NAME=userdata", "AWS_REGION=eu-central-1", "LOG_LEVEL=loud"},
			[]string{"LOG_LEVEL"},
		},
		"everything": {
			[]string{"LOG_LEVEL=loud", "TABLE_NAME=x", "REQUIRE_IF_MATCH=x"},
			[]string{"SERVICE_NAME", "STAGE", "AWS_REGION", "LOG_LEVEL", "TABLE_NAME", "REQUIRE_IF_MATCH"},
		},
		"log level that would hide it": {[]string{"LOG_LEVEL=FATAL", "AWS_REGION=eu-central-1"}, []string{"SERVICE_NAME", "STAGE"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			type reported struct {
				Path, ErrorType string
				Body            map[string]string
			}
			reports := make(chan reported, 10)
			runtimeAPI := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				report := reported{Path: r.Method + " " + r.URL.Path, ErrorType: r.Header.Get("Lambda-Runtime-Function-Error-Type")}
				if err := json.NewDecoder(r.Body).Decode(&report.Body); err != nil {
					t.Error(err)
				}
				reports <- report
				w.WriteHeader(http.StatusAccepted)
			}))
			t.Cleanup(runtimeAPI.Close)

			cmd := functionCommand(t, runtimeAPI.URL, test.settings...)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			stdout, err := cmd.Output()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 || stderr.Len() > 0 {
				t.Errorf("got error %v, stderr %q, want exit status 1", err, &stderr)
			}
			got := lines(t, bytes.NewBuffer(stdout))
			if len(got) != 1 {
				t.Fatalf("got %d lines, want 1: %s", len(got), stdout)
			}
			message, _ := got[0]["error"].(string)
			if got[0]["level"] != "ERROR" || got[0]["message"] != "init failed" {
				t.Errorf("got %v", got[0])
			}
			for _, name := range test.faults {
				if !strings.Contains(message, name) {
					t.Errorf("%q does not name %s", message, name)
				}
			}
			want := reported{
				Path:      "POST /2018-06-01/runtime/init/error",
				ErrorType: "Function.InvalidSettings",
				Body:      map[string]string{"errorType": "Function.InvalidSettings", "errorMessage": message},
			}
			if len(reports) != 1 {
				t.Fatalf("got %d reports, want 1", len(reports))
			}
			if diff := cmp.Diff(want, <-reports); diff != "" {
				t.Errorf("the report (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStartWithoutRuntime(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	refusing := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(refusing.Close)
	gone.Close()
	for name, runtimeAPI := range map[string]string{"gone": gone.URL, "refusing": refusing.URL} {
		stdout, err := functionCommand(t, runtimeAPI).Output()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Errorf("%s: got error %v, want exit status 1", name, err)
		}
		got := lines(t, bytes.NewBuffer(stdout))
		if len(got) != 2 || got[0]["message"] != "init failed" || got[1]["message"] != "init error not reported" {
			t.Errorf("%s: got %s", name, stdout)
		}
	}
}

func TestStart(t *testing.T) {
	t.Parallel()
	tables := make(chan string, 10)
	database := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			TableName string
			Key       struct {
				UserID struct{ S string } `json:"userId"`
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		tables <- in.TableName
		if in.Key.UserID.S != "1" { // to warm up
			_, _ = io.WriteString(w, "{}")
			return
		}
		_, _ = io.WriteString(w, `{"Item":{"userId":{"S":"1"},"_rev":{"S":"REVISIONREVISIONREVISIONRE"}}}`)
	}))
	t.Cleanup(database.Close)
	event, err := json.Marshal(requesttest.Event("GET", "/users/1", ""))
	if err != nil {
		t.Fatal(err)
	}
	answers := make(chan response.Response)
	events := make(chan []byte, 1)
	events <- event
	runtimeAPI := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/2018-06-01/runtime/invocation/next":
			select {
			case event := <-events:
				w.Header().Set("Lambda-Runtime-Aws-Request-Id", "id")
				w.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(time.Now().Add(time.Minute).UnixMilli(), 10))
				w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-central-1:123456789012:function:userdata-get")
				_, _ = w.Write(event)
			case <-r.Context().Done():
			}
		case "/2018-06-01/runtime/invocation/id/response":
			var answer response.Response
			if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
				t.Error(err)
			}
			w.WriteHeader(http.StatusAccepted)
			answers <- answer
		default:
			t.Errorf("unexpected %s", r.URL.Path)
		}
	}))
	t.Cleanup(runtimeAPI.Close)

	var log bytes.Buffer
	cmd := functionCommand(t, runtimeAPI.URL, "SERVICE_NAME=userdata", "STAGE=prod", "AWS_REGION=eu-central-1", "TABLE_NAME=Users",
		"DYNAMODB_ENDPOINT="+database.URL, "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test")
	cmd.Stdout = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	answer := <-answers
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // it was killed
	if answer.StatusCode != http.StatusOK || answer.Body != `{"userId":"1"}` || answer.Headers["ETag"] != `"REVISIONREVISIONREVISIONRE"` {
		t.Errorf("got %+v", answer)
	}
	close(tables)
	var calls []string
	for table := range tables {
		calls = append(calls, table)
	}
	if diff := cmp.Diff([]string{"Users", "Users"}, calls); diff != "" {
		t.Errorf("tables that were read, once to warm up (-want +got):\n%s", diff)
	}
	if got := lines(t, &log); len(got) != 1 || got[0]["status"] != 200.0 || got[0]["service"] != "userdata" {
		t.Errorf("got log %v", got)
	}
}
