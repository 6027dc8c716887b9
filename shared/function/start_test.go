package function_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/shared/function"
	"github.com/userrequestapi/userdata/shared/request"
	"github.com/userrequestapi/userdata/shared/request/requesttest"
	"github.com/userrequestapi/userdata/shared/response"
)

// handlerVariable names the handler that the test binary runs as a function. Start does not return, so tests run it in
// another process.
const handlerVariable = "TEST_HANDLER"

func TestMain(m *testing.M) {
	switch name := os.Getenv(handlerVariable); name {
	case "":
	case "orders":
		function.StartWith(readOrder)
	default:
		function.Start(handlers()[name])
	}
	os.Exit(m.Run())
}

// readOrder returns a handler that reads from the table of the orders.
func readOrder(tables function.Tables) function.Handler {
	client, table := tables("ORDERS_TABLE_NAME")
	return func(ctx context.Context, _ function.Dependencies, _ *request.Request) (response.Response, error) {
		_, err := client.GetItem(ctx, &dynamodb.GetItemInput{
			TableName: &table, Key: map[string]types.AttributeValue{"orderId": &types.AttributeValueMemberS{Value: "1"}},
		})
		return response.Response{StatusCode: http.StatusNoContent}, err
	}
}

// handlers returns the handlers by the name in handlerVariable.
func handlers() map[string]function.Handler {
	return map[string]function.Handler{
		"read":   read,
		"panics": panics("MARKED"),
		"no table": func(_ context.Context, deps function.Dependencies, _ *request.Request) (response.Response, error) {
			if deps.Users != nil {
				return response.Response{}, errors.New("got a store")
			}
			return response.Response{StatusCode: http.StatusNoContent}, nil
		},
		"memory limit": func(context.Context, function.Dependencies, *request.Request) (response.Response, error) {
			return response.JSON(http.StatusOK, strconv.AppendInt(nil, debug.SetMemoryLimit(-1)>>20, 10)), nil
		},
		// hangs ignores its deadline.
		"hangs": func(ctx context.Context, deps function.Dependencies, req *request.Request) (response.Response, error) {
			_, _ = read(ctx, deps, req)
			select {}
		},
	}
}

// functionCommand returns the command of a function with these settings, NAME=value, and no others.
func functionCommand(t *testing.T, runtimeAPI string, settings ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append([]string{
		handlerVariable + "=read",
		"GOCOVERDIR=" + t.TempDir(), // without it, a binary built with -cover prints a warning
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
		"no table of a store": {
			[]string{"SERVICE_NAME=userdata", "STAGE=prod", "AWS_REGION=eu-central-1", handlerVariable + "=orders"},
			[]string{"ORDERS_TABLE_NAME is not set: list the table"},
		},
		"invalid table of a store": {
			[]string{"STAGE=prod", handlerVariable + "=orders", "ORDERS_TABLE_NAME=x"},
			[]string{"SERVICE_NAME", "ORDERS_TABLE_NAME: want the name"},
		},
		"log level above ERROR": {
			[]string{"LOG_LEVEL=FATAL", "AWS_REGION=eu-central-1"}, []string{"SERVICE_NAME", "STAGE"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			type reported struct {
				Path, ErrorType string
				Body            map[string]string
			}
			reports := make(chan reported, 10)
			runtimeAPI := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				report := reported{
					Path:      r.Method + " " + r.URL.Path,
					ErrorType: r.Header.Get("Lambda-Runtime-Function-Error-Type"),
				}
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
				t.Errorf("got line %v, want the ERROR \"init failed\"", got[0])
			}
			for _, name := range test.faults {
				if !strings.Contains(message, name) {
					t.Errorf("got error %q, want one that names %s", message, name)
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
			if diff := gocmp.Diff(want, <-reports); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStartWithoutRuntime(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(http.NotFoundHandler())
	notFound := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(notFound.Close)
	closed.Close()
	for name, runtimeAPI := range map[string]string{"closed": closed.URL, "not found": notFound.URL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stdout, err := functionCommand(t, runtimeAPI).Output()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("got error %v, want exit status 1", err)
			}
			got := lines(t, bytes.NewBuffer(stdout))
			if len(got) != 2 || got[0]["message"] != "init failed" || got[1]["message"] != "init error not reported" {
				t.Errorf("got %s, want the lines \"init failed\" and \"init error not reported\"", stdout)
			}
		})
	}
}

// invocation is one invocation of a function.
type invocation struct {
	event   []byte
	header  string        // X-Amzn-Trace-Id, "" for none
	timeout time.Duration // 0 means one minute
}

// lambdaRuntime is a Lambda runtime API: it serves the invocations and receives the responses and errors.
type lambdaRuntime struct {
	*httptest.Server
	invocations chan invocation
	responses   chan response.Response
	failures    chan string
}

func newRuntime(t *testing.T) lambdaRuntime {
	t.Helper()
	r := lambdaRuntime{
		invocations: make(chan invocation, 10),
		responses:   make(chan response.Response, 10),
		failures:    make(chan string, 10),
	}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/2018-06-01/runtime/invocation/next":
			select {
			case i := <-r.invocations:
				w.Header().Set("Lambda-Runtime-Aws-Request-Id", "id")
				deadline := time.Now().Add(cmp.Or(i.timeout, time.Minute))
				w.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(deadline.UnixMilli(), 10))
				w.Header().Set("Lambda-Runtime-Invoked-Function-Arn",
					"arn:aws:lambda:eu-central-1:123456789012:function:userdata-get")
				w.Header().Set("Lambda-Runtime-Trace-Id", i.header)
				_, _ = w.Write(i.event)
			case <-req.Context().Done():
			}
		case "/2018-06-01/runtime/invocation/id/response":
			var res response.Response
			if err := json.NewDecoder(req.Body).Decode(&res); err != nil {
				t.Error(err)
			}
			w.WriteHeader(http.StatusAccepted)
			r.responses <- res
		case "/2018-06-01/runtime/invocation/id/error":
			body, err := io.ReadAll(req.Body)
			if err != nil {
				t.Error(err)
			}
			w.WriteHeader(http.StatusAccepted)
			r.failures <- string(body)
		default:
			t.Errorf("got a request for %s, want a path of the runtime API", req.URL.Path)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// newDatabase returns the URL of a DynamoDB whose table has the user "1", and the table of each request.
func newDatabase(t *testing.T) (url string, tables chan string) {
	t.Helper()
	tables = make(chan string, 10)
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
		if in.Key.UserID.S != "1" { // the read of the warm-up
			_, _ = io.WriteString(w, "{}")
			return
		}
		_, _ = io.WriteString(w, `{"Item":{"userId":{"S":"1"},"_userrequestapi_rev":{"S":"REVISIONREVISIONREVISIONRE"}}}`)
	}))
	t.Cleanup(database.Close)
	return database.URL, tables
}

// runningFunction is the process of a function, with its runtime API and database.
type runningFunction struct {
	lambdaRuntime
	tables chan string
	cmd    *exec.Cmd
	stdout chan string // lines
	stderr bytes.Buffer
}

func startFunction(t *testing.T, settings ...string) *runningFunction {
	t.Helper()
	f := &runningFunction{lambdaRuntime: newRuntime(t), stdout: make(chan string, 1000)}
	var database string
	database, f.tables = newDatabase(t)
	f.cmd = functionCommand(t, f.URL, append([]string{
		"SERVICE_NAME=userdata", "STAGE=prod", "AWS_REGION=eu-central-1",
		"TABLE_NAME=Users", "DYNAMODB_ENDPOINT=" + database,
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_LAMBDA_FUNCTION_VERSION=7",
	}, settings...)...)
	f.cmd.Stderr = &f.stderr
	stdout, err := f.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(f.stdout)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			f.stdout <- scanner.Text()
		}
	}()
	return f
}

// invoke invokes the function with a request that reads the user "1".
func (f *runningFunction) invoke(t *testing.T, header string, timeout time.Duration) {
	t.Helper()
	event, err := json.Marshal(requesttest.Event("GET", "/users/1", ""))
	if err != nil {
		t.Fatal(err)
	}
	f.invocations <- invocation{event, header, timeout}
}

// stop ends the process, checks that it printed nothing besides its log, and returns the log lines.
func (f *runningFunction) stop(t *testing.T) []map[string]any {
	t.Helper()
	if err := f.cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	log := f.log(t)
	_ = f.cmd.Wait() // it was killed
	if f.stderr.Len() > 0 {
		t.Errorf("got %s on stderr, want nothing", &f.stderr)
	}
	return log
}

// log waits for the end of the process and returns its log lines.
func (f *runningFunction) log(t *testing.T) []map[string]any {
	t.Helper()
	var stdout bytes.Buffer
	for line := range f.stdout {
		stdout.WriteString(line + "\n")
	}
	if strings.Contains(stdout.String(), "MARKED") {
		t.Errorf("got log %s, want no personal data", &stdout)
	}
	return lines(t, &stdout)
}

func TestStart(t *testing.T) {
	t.Parallel()
	f := startFunction(t)
	f.invoke(t, "", 0)
	res := <-f.responses
	log := f.stop(t)
	if res.StatusCode != http.StatusOK || res.Body != `{"userId":"1"}` ||
		res.Headers["ETag"] != `"REVISIONREVISIONREVISIONRE"` {
		t.Errorf("got %+v, want status code 200 and the user 1 with its ETag", res)
	}
	close(f.tables)
	var calls []string
	for table := range f.tables {
		calls = append(calls, table)
	}
	if diff := gocmp.Diff([]string{"Users", "Users"}, calls); diff != "" {
		t.Errorf("tables read by the warm-up and the request (-want +got):\n%s", diff)
	}
	if len(log) != 1 || log[0]["status"] != 200.0 || log[0]["service"] != "userdata" {
		t.Errorf("got log %v, want one line with the status 200 and the service userdata", log)
	}
}

// TestStartWithTables checks the tables that functions read from in the warm-up and in a request.
func TestStartWithTables(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		settings []string
		want     []string
	}{
		"none":                {[]string{handlerVariable + "=no table", "TABLE_NAME="}, nil},
		"another":             {[]string{handlerVariable + "=orders", "TABLE_NAME=", "ORDERS_TABLE_NAME=Orders"}, []string{"Orders", "Orders"}},
		"the users', another": {[]string{handlerVariable + "=orders", "ORDERS_TABLE_NAME=Orders"}, []string{"Users", "Orders"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startFunction(t, test.settings...)
			f.invoke(t, "", 0)
			res := <-f.responses
			log := f.stop(t)
			if res.StatusCode != http.StatusNoContent {
				t.Errorf("got %+v and log %v, want status code 204", res, log)
			}
			close(f.tables)
			var calls []string
			for table := range f.tables {
				calls = append(calls, table)
			}
			if diff := gocmp.Diff(test.want, calls); diff != "" {
				t.Errorf("tables (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStartLimitsMemory(t *testing.T) {
	t.Parallel()
	for want, settings := range map[string][]string{
		"96":            {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128"},
		"100":           {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128", "GOMEMLIMIT=100MiB"},
		"8796093022207": nil, // math.MaxInt64 bytes: none
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			f := startFunction(t, append(settings, handlerVariable+"=memory limit")...)
			f.invoke(t, "", 0)
			res := <-f.responses
			f.stop(t)
			if res.Body != want {
				t.Errorf("got a limit of %s MiB, want %s", res.Body, want)
			}
		})
	}
}

// The messages of the Lambda runtime client are log lines.
func TestStartWithMalformedEvent(t *testing.T) {
	t.Parallel()
	f := startFunction(t)
	f.invocations <- invocation{event: []byte(`{"httpMethod": 1}`)}
	failure := <-f.failures
	f.invoke(t, "", 0)
	<-f.responses
	log := f.stop(t)
	if len(log) != 2 || log[0]["level"] != "ERROR" || log[0]["message"] != "lambda runtime client" ||
		log[0]["service"] != "userdata" || log[0]["error"] != failure || log[0]["requestId"] != nil ||
		log[1]["message"] != "request" {
		t.Errorf("got log %v, want the failure %s and the request", log, failure)
	}
}

// The runtime client logs the error and exits when the runtime API is gone.
func TestStartUntilRuntimeEnds(t *testing.T) {
	t.Parallel()
	f := startFunction(t)
	f.invoke(t, "", 0)
	<-f.responses
	_ = f.Listener.Close() // first, so that no connection follows those that are closed next
	f.CloseClientConnections()
	f.Close()
	log := f.log(t)
	var exit *exec.ExitError
	if err := f.cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 || f.stderr.Len() > 0 {
		t.Errorf("got error %v and stderr %s, want exit status 1", err, &f.stderr)
	}
	if len(log) != 2 || log[1]["message"] != "lambda runtime client" {
		t.Errorf("got log %v, want the request and the message of the runtime client", log)
	}
}
