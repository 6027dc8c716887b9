package tracing_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/shared/tracing"
	"github.com/userrequestapi/userdata/shared/tracing/tracingtest"
)

type outcome string

// run runs the named function, or a selection of them for the name "all".
func run(ctx context.Context, name string) error {
	if name != "all" {
		return functions()[name](ctx)
	}
	for _, name := range []string{"annotated", "nested", "failures", "many", "get", "condition failed", "broken once"} {
		if err := functions()[name](ctx); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// functions returns the functions that the other process can run.
func functions() map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"annotated": func(ctx context.Context) error {
			_, span := tracing.Start(ctx, "handler")
			defer span.End()
			span.Annotate("Service", "userdata")
			span.Annotate("Outcome", outcome("created"))
			span.Annotate("ColdStart", true)
			span.Annotate("Int", 1)
			span.Annotate("Int64", int64(-1<<40))
			span.Annotate("Uint8", uint8(255))
			span.Annotate("Float32", float32(0.5))
			span.Annotate("Duration", 2*time.Nanosecond)
			span.Annotate("Nil", nil)
			span.Annotate("Err", errors.New("ada@example.com"))
			return nil
		},
		"nested": func(ctx context.Context) error {
			ctx, handler := tracing.Start(ctx, "handler")
			defer handler.End()
			storeCtx, store := tracing.Start(ctx, "store")
			_, inner := tracing.Start(storeCtx, "inner")
			inner.End()
			store.End()
			_, second := tracing.Start(ctx, "second")
			second.End()
			return nil
		},
		"failures": func(ctx context.Context) error {
			for _, status := range []int{200, 404, 429, 500} {
				_, span := tracing.Start(ctx, strconv.Itoa(status))
				span.SetError(tracing.KindOf(status), "code_"+strconv.Itoa(status))
				span.End()
			}
			return nil
		},
		"panicking": func(ctx context.Context) (err error) {
			defer func() { _ = recover() }()
			_, span := tracing.Start(ctx, "handler")
			defer span.End()
			panic("ada@example.com")
		},
		"unfinished": func(ctx context.Context) error {
			ctx, handler := tracing.Start(ctx, "handler")
			storeCtx, store := tracing.Start(ctx, "store")
			_, inner := tracing.Start(storeCtx, "inner")
			_, done := tracing.Start(storeCtx, "done")
			done.End()
			handler.End()
			inner.SetError(tracing.Throttle, "late")
			inner.End()
			store.End()
			handler.End()
			if got, late := tracing.Start(storeCtx, "late"); late != nil || got != storeCtx {
				return errors.New("got a subsegment below one that has ended, want none")
			}
			return withTable(func(client *dynamodb.Client) error { return get(storeCtx, client) }, throttled, ok)
		},
		// The handler's span ends while a call waits for its response, before the next attempt.
		"ended during a call": func(ctx context.Context) error {
			ctx, handler := tracing.Start(ctx, "handler")
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				handler.End()
				w.WriteHeader(http.StatusInternalServerError)
			}))
			defer server.Close()
			return wantError(get(ctx, newClient(server.URL, server.Client())))
		},
		// More datagrams than the queue of a receiver that does not read can hold.
		"flood": func(ctx context.Context) error {
			for range 500 {
				_, span := tracing.Start(ctx, "handler")
				span.SetError(tracing.Fault, strings.Repeat("x", 1000))
				span.End()
			}
			return nil
		},
		// More than the 20 subsegments that the SDK sends in one datagram.
		"many": func(ctx context.Context) error {
			ctx, handler := tracing.Start(ctx, "handler")
			defer handler.End()
			var wg sync.WaitGroup
			for i := range 50 {
				wg.Go(func() {
					_, span := tracing.Start(ctx, fmt.Sprintf("child %02d", i))
					span.Annotate("N", i)
					span.End()
				})
			}
			wg.Wait()
			return nil
		},
		"get": func(ctx context.Context) error {
			ctx, handler := tracing.Start(ctx, "handler")
			defer handler.End()
			return withTable(func(client *dynamodb.Client) error { return get(ctx, client) }, ok)
		},
		"get alone": func(ctx context.Context) error {
			return withTable(func(client *dynamodb.Client) error { return get(ctx, client) }, ok)
		},
		"condition failed": func(ctx context.Context) error {
			return withTable(func(client *dynamodb.Client) error {
				var failed *types.ConditionalCheckFailedException
				if err := put(ctx, client); !errors.As(err, &failed) {
					return fmt.Errorf("got %w, want ConditionalCheckFailedException", err)
				}
				return nil
			}, conditionFailed)
		},
		"throttled once": func(ctx context.Context) error {
			return withTable(func(client *dynamodb.Client) error { return get(ctx, client) }, throttled, ok)
		},
		"throttled": func(ctx context.Context) error {
			return withTable(func(client *dynamodb.Client) error {
				var throttled *types.ProvisionedThroughputExceededException
				if err := get(ctx, client); !errors.As(err, &throttled) {
					return fmt.Errorf("got %w, want ProvisionedThroughputExceededException", err)
				}
				return nil
			}, throttled, throttled, throttled)
		},
		"broken once": func(ctx context.Context) error {
			return withTable(func(client *dynamodb.Client) error { return get(ctx, client) }, broken, ok)
		},
		"broken": func(ctx context.Context) error {
			return withTable(func(client *dynamodb.Client) error { return wantError(get(ctx, client)) }, broken, broken, broken)
		},
		"unreadable": func(ctx context.Context) error {
			return withTable(func(client *dynamodb.Client) error { return wantError(get(ctx, client)) }, unreadable)
		},
		"refused": func(ctx context.Context) error {
			var config net.ListenConfig
			listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			url := "http://" + listener.Addr().String()
			if err := listener.Close(); err != nil {
				return err
			}
			return wantError(get(ctx, newClient(url, http.DefaultClient)))
		},
		"too late": func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, 0)
			defer cancel()
			return withTable(func(client *dynamodb.Client) error { return wantError(get(ctx, client)) })
		},
		"canceled": func(ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return withTable(func(client *dynamodb.Client) error { return wantError(get(ctx, client)) })
		},
		"environment": func(context.Context) error {
			fmt.Print(os.Getenv("AWS_XRAY_DAEMON_ADDRESS"))
			return nil
		},
	}
}

// response is a response of DynamoDB: the status code, a space, and the body.
type response string

const (
	ok              response = `200 {"Item":{"userId":{"S":"1"}}}`
	conditionFailed response = `400 {"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",` +
		`"message":"The conditional request failed for ada@example.com","Item":{"email":{"S":"ada@example.com"}}}`
	throttled response = `400 {"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",` +
		`"message":"slow down ada@example.com"}`
	broken response = `500 {"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError",` +
		`"message":"ada@example.com"}`
	unreadable response = `200 {"Item":`
)

func (r response) status() int {
	status, err := strconv.Atoi(string(r[:3]))
	if err != nil {
		panic(err)
	}
	return status
}

func (r response) body() string { return string(r[4:]) }

// withTable calls call with a client of a server that returns the DynamoDB responses in order. It returns an error if
// call does not request all of them.
func withTable(call func(*dynamodb.Client) error, responses ...response) error {
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if len(responses) == 0 {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.Header().Set("X-Amzn-Requestid", fmt.Sprintf("REQUEST-%d", len(responses)))
		w.WriteHeader(responses[0].status())
		_, _ = w.Write([]byte(responses[0].body()))
		responses = responses[1:]
	}))
	defer server.Close()
	if err := call(newClient(server.URL, server.Client())); err != nil {
		return err
	}
	if len(responses) > 0 {
		return fmt.Errorf("got %d calls too few, want one for each response", len(responses))
	}
	return nil
}

func newClient(url string, httpClient *http.Client) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		Region:       "eu-central-1",
		BaseEndpoint: aws.String(url),
		HTTPClient:   httpClient,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}, nil
		}),
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Millisecond }),
	}, dynamodb.WithAPIOptions(tracing.Middleware))
}

func key() map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"userId": &types.AttributeValueMemberS{Value: "ada@example.com"}}
}

func get(ctx context.Context, client *dynamodb.Client) error {
	_, err := client.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("UserData"), Key: key()})
	return err
}

func put(ctx context.Context, client *dynamodb.Client) error {
	_, err := client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: aws.String("UserData"), Item: key(), ConditionExpression: aws.String("attribute_not_exists(userId)"),
	})
	return err
}

func wantError(err error) error {
	if err == nil {
		return errors.New("got no error, want one")
	}
	return nil
}

// attempts adds the documents of a retried call's attempts. An empty response stands for an attempt without one.
func attempts(responses ...response) func(*document) {
	return func(d *document) {
		d.AWS["retries"] = float64(len(responses) - 1)
		for i, r := range responses {
			attempt := document{Name: "attempt"}
			if r == "" {
				failed("RequestSendError", false)(&attempt)
				isFault(&attempt)
				d.Subsegments = append(d.Subsegments, attempt)
				continue
			}
			withResponse(r)(&attempt)
			attempt.AWS = map[string]any{"request_id": fmt.Sprintf("REQUEST-%d", len(responses)-i)}
			if r == broken {
				failed("InternalServerError", true)(&attempt)
				isFault(&attempt)
			}
			if r == throttled {
				failed("ProvisionedThroughputExceededException", true)(&attempt)
				isThrottle(&attempt)
			}
			d.Subsegments = append(d.Subsegments, attempt)
		}
	}
}

// call returns the document of a DynamoDB call that succeeds at the first attempt, changed by differences.
func call(operation string, differences ...func(*document)) document {
	d := document{
		Name: "DynamoDB", Namespace: "aws",
		AWS: map[string]any{
			"operation": operation, "region": "eu-central-1", "table_name": "UserData",
			"resource_names": []any{"UserData"}, "retries": 0., "request_id": "REQUEST-1",
		},
		HTTP: map[string]any{"response": map[string]any{"status": 200., "content_length": float64(len(ok.body()))}},
	}
	for _, difference := range differences {
		difference(&d)
	}
	return d
}

func withResponse(r response) func(*document) {
	return func(d *document) {
		d.HTTP = map[string]any{"response": map[string]any{
			"status": float64(r.status()), "content_length": float64(len(r.body())),
		}}
	}
}

func withoutResponse(d *document) {
	d.HTTP = nil
	delete(d.AWS, "request_id")
}

func failed(code string, remote bool) func(*document) {
	return func(d *document) {
		d.Cause = &cause{Exceptions: []exception{{Type: code, Message: code, Remote: remote}}}
	}
}

func unfinished() *cause {
	return &cause{Exceptions: []exception{{Type: "Unfinished", Message: "Unfinished"}}}
}

func isError(d *document)    { d.Error = true }
func isThrottle(d *document) { d.Error, d.Throttle = true, true }
func isFault(d *document)    { d.Fault = true }

func TestDocuments(t *testing.T) {
	t.Parallel()
	tests := []struct {
		function string
		want     []document
	}{
		{"annotated", []document{{Name: "handler", Annotations: map[string]any{
			"Service": "userdata", "Outcome": "created", "ColdStart": true, "Int": 1., "Int64": -float64(1 << 40),
			"Uint8": 255., "Float32": 0.5, "Duration": 2.,
		}}}},
		{"nested", []document{{Name: "handler", Subsegments: []document{
			{Name: "store", Subsegments: []document{{Name: "inner"}}},
			{Name: "second"},
		}}}},
		{"failures", []document{
			{Name: "200"},
			{Name: "404", Error: true, Cause: &cause{[]exception{{Type: "code_404", Message: "code_404"}}}},
			{
				Name: "429", Error: true, Throttle: true,
				Cause: &cause{[]exception{{Type: "code_429", Message: "code_429"}}},
			},
			{Name: "500", Fault: true, Cause: &cause{[]exception{{Type: "code_500", Message: "code_500"}}}},
		}},
		{"panicking", []document{{Name: "handler"}}},
		{"unfinished", []document{{Name: "handler", Subsegments: []document{
			{Name: "store", Fault: true, Cause: unfinished(), Subsegments: []document{
				{Name: "inner", Fault: true, Cause: unfinished()},
				{Name: "done"},
			}},
		}}}},
		{"ended during a call", []document{{Name: "handler", Subsegments: []document{
			call("GetItem", withoutResponse, failed("Unfinished", false), isFault,
				func(d *document) { delete(d.AWS, "retries") }),
		}}}},
		{"get", []document{{Name: "handler", Subsegments: []document{call("GetItem")}}}},
		{"get alone", []document{call("GetItem")}},
		{"condition failed", []document{
			call("PutItem", withResponse(conditionFailed), failed("ConditionalCheckFailedException", true), isError),
		}},
		{"throttled once", []document{call("GetItem", attempts(throttled, ok))}},
		{"throttled", []document{
			call("GetItem", withResponse(throttled), attempts(throttled, throttled, throttled),
				failed("ProvisionedThroughputExceededException", true), isThrottle),
		}},
		{"broken once", []document{call("GetItem", attempts(broken, ok))}},
		{"broken", []document{
			call("GetItem", withResponse(broken), attempts(broken, broken, broken),
				failed("InternalServerError", true), isFault),
		}},
		{"unreadable", []document{
			call("GetItem", withResponse(unreadable), failed("ClientError", true), isFault),
		}},
		{"refused", []document{
			call("GetItem", withoutResponse, attempts("", "", ""), failed("RequestSendError", false), isFault),
		}},
		{"too late", []document{call("GetItem", withoutResponse, failed("DeadlineExceeded", false), isFault)}},
		{"canceled", []document{call("GetItem", withoutResponse, failed("Canceled", false), isFault)}},
	}
	for _, tt := range tests {
		t.Run(tt.function, func(t *testing.T) {
			t.Parallel()
			daemon := tracingtest.Listen(t)
			output := invoke(t, tt.function, "AWS_XRAY_DAEMON_ADDRESS="+daemon.Address(), "TRACING_TEST_HEADER="+sampled)
			if output != "" {
				t.Errorf("printed %q, want nothing", output)
			}
			payloads := daemon.Received(t)
			for _, payload := range payloads {
				if strings.Contains(payload, "example.com") {
					t.Errorf("got payload %s, want no personal data", payload)
				}
			}
			got := documents(t, payloads)
			for i := range got {
				if got[i].TraceID != traceID || got[i].ParentID != parent || got[i].Type != "subsegment" {
					t.Errorf("document is %s of %s in trace %s, want subsegment of %s in %s",
						got[i].Type, got[i].ParentID, got[i].TraceID, parent, traceID)
				}
				checkAndClear(t, &got[i])
			}
			if diff := gocmp.Diff(tt.want, got); diff != "" {
				t.Errorf("documents (-want +got):\n%s", diff)
			}
		})
	}
}

var segmentID = regexp.MustCompile(`^[0-9a-f]{16}$`)

// checkAndClear checks the ids and times, which differ in each run, and clears them, as well as the fields that only
// the outermost documents have.
func checkAndClear(t *testing.T, d *document) {
	t.Helper()
	if !segmentID.MatchString(d.ID) {
		t.Errorf("%s: got id %q, want 16 hexadecimal digits", d.Name, d.ID)
	}
	if now := float64(time.Now().UnixNano()) / 1e9; d.StartTime <= 0 || d.EndTime < d.StartTime || d.EndTime > now {
		t.Errorf("%s: got the time from %f to %f, want a period before %f", d.Name, d.StartTime, d.EndTime, now)
	}
	end := 0.
	for i := range d.Subsegments {
		if s := d.Subsegments[i]; s.StartTime < d.StartTime || s.EndTime > d.EndTime {
			t.Errorf("%s: got %f to %f, want a period within %s, %f to %f",
				s.Name, s.StartTime, s.EndTime, d.Name, d.StartTime, d.EndTime)
		}
		if s := d.Subsegments[i]; s.Name == "attempt" && i > 0 && s.StartTime < end {
			t.Errorf("attempt %d: got start %f, want it after the end of the previous one, %f", i+1, s.StartTime, end)
		}
		end = d.Subsegments[i].EndTime
		checkAndClear(t, &d.Subsegments[i])
	}
	if d.Cause != nil {
		for i := range d.Cause.Exceptions {
			if !segmentID.MatchString(d.Cause.Exceptions[i].ID) {
				t.Errorf("%s: got exception id %q, want 16 hexadecimal digits", d.Name, d.Cause.Exceptions[i].ID)
			}
			d.Cause.Exceptions[i].ID = ""
		}
	}
	d.ID, d.TraceID, d.ParentID, d.Type, d.StartTime, d.EndTime = "", "", "", "", 0, 0
}

func TestManySubsegmentsArriveOnceEach(t *testing.T) {
	t.Parallel()
	daemon := tracingtest.Listen(t)
	invoke(t, "many", "AWS_XRAY_DAEMON_ADDRESS="+daemon.Address(), "TRACING_TEST_HEADER="+sampled)
	var handler document
	var children []document
	for _, d := range documents(t, daemon.Received(t)) {
		if d.Name == "handler" {
			handler = d
			children = append(children, d.Subsegments...)
			continue
		}
		children = append(children, d)
	}
	if handler.ParentID != parent {
		t.Errorf("the handler's parent is %q, want %q", handler.ParentID, parent)
	}
	slices.SortFunc(children, func(a, b document) int { return cmp.Compare(a.Name, b.Name) })
	if len(children) != 50 {
		t.Fatalf("got %d children, want 50", len(children))
	}
	for i, child := range children {
		if want := fmt.Sprintf("child %02d", i); child.Name != want || child.Annotations["N"] != float64(i) {
			t.Errorf("got %q with annotations %v, want %q with N = %d", child.Name, child.Annotations, want, i)
		}
		if child.Type == "subsegment" && (child.ParentID != handler.ID || child.TraceID != traceID) {
			t.Errorf("%s, sent alone, has parent %q in trace %q, want %q in %q",
				child.Name, child.ParentID, child.TraceID, handler.ID, traceID)
		}
	}
}

func TestNothingIsSentWithoutASampledTrace(t *testing.T) {
	t.Parallel()
	tests := map[string][]string{
		"no header":        nil,
		"empty header":     {"TRACING_TEST_HEADER="},
		"malformed header": {"TRACING_TEST_HEADER=;;=;Root;Sampled=1"},
		"no parent":        {"TRACING_TEST_HEADER=Root=" + traceID + ";Sampled=1"},
		"no trace":         {"TRACING_TEST_HEADER=Parent=" + parent + ";Sampled=1"},
		"undecided":        {"TRACING_TEST_HEADER=Root=" + traceID + ";Parent=" + parent},
		"not sampled":      {"TRACING_TEST_HEADER=Root=" + traceID + ";Parent=" + parent + ";Sampled=0"},
		"disabled":         {"TRACING_TEST_HEADER=" + sampled, "AWS_XRAY_SDK_DISABLED=true"},
	}
	for name, settings := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			daemon := tracingtest.Listen(t)
			output := invoke(t, "all", append(settings, "AWS_XRAY_DAEMON_ADDRESS="+daemon.Address())...)
			if output != "" {
				t.Errorf("printed %q, want nothing", output)
			}
			if got := daemon.Received(t); len(got) != 0 {
				t.Errorf("sent %q, want nothing", got)
			}
		})
	}
}

func TestSpanIsNilWithoutASampledTrace(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]any{
		"no header":   nil,
		"empty":       "",
		"truncated":   sampled[:len(sampled)/2],
		"not sampled": strings.Replace(sampled, "Sampled=1", "Sampled=0", 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := invocation{t.Context(), header}
			got, span := tracing.Start(ctx, "handler")
			if span != nil || got != ctx {
				t.Errorf("got span %v and context %v, want nil and the same context", span, got)
			}
			span.Annotate("Service", "userdata")
			span.SetError(tracing.Fault, "internal_error")
			span.End()
		})
	}
}

func TestWithoutConfigure(t *testing.T) {
	t.Parallel()
	if output := invoke(t, "get", "TRACING_TEST_HEADER="+sampled, "TRACING_TEST_UNCONFIGURED=true"); output != "" {
		t.Errorf("printed %q, want nothing", output)
	}
}

func TestNoDaemon(t *testing.T) {
	t.Parallel()
	daemon := tracingtest.Listen(t)
	address := daemon.Address()
	if err := daemon.Close(); err != nil {
		t.Fatal(err)
	}
	settings := []string{"AWS_XRAY_DAEMON_ADDRESS=" + address, "TRACING_TEST_HEADER=" + sampled}
	if output := invoke(t, "all", settings...); output != "" {
		t.Errorf("printed %q, want nothing", output)
	}

	// At debug level, the log has the reason, and only JSON lines.
	output := invoke(t, "failures", append(settings, "LOG_LEVEL=DEBUG")...)
	refused := false
	for line := range strings.Lines(output) {
		var fields struct{ Level, SDKLevel, SDKMessage string }
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		if fields.Level != "DEBUG" {
			t.Errorf("got line %s, want level DEBUG", line)
		}
		refused = refused || fields.SDKLevel == "ERROR" && strings.Contains(fields.SDKMessage, "connection refused")
	}
	if !refused {
		t.Errorf("got %s\nwant a line with \"connection refused\"", output)
	}
}

// If the daemon does not read and its queue is full, documents are lost, without other effects.
func TestFullSocket(t *testing.T) {
	t.Parallel()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetReadBuffer(1 << 12); err != nil {
		t.Fatal(err)
	}
	output := invoke(t, "flood", "AWS_XRAY_DAEMON_ADDRESS="+conn.LocalAddr().String(), "TRACING_TEST_HEADER="+sampled)
	if output != "" {
		t.Errorf("printed %q, want nothing", output)
	}
	output = invoke(t, "all", "AWS_XRAY_DAEMON_ADDRESS="+conn.LocalAddr().String(), "TRACING_TEST_HEADER="+sampled)
	if output != "" {
		t.Errorf("printed %q, want nothing", output)
	}
	// Read the queue up to a datagram that is sent before each read, and that is small enough to be queued.
	sender, err := new(net.Dialer).DialContext(t.Context(), "udp", conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sender.Close() })
	received := 0
	for buffer := make([]byte, 1<<16); ; {
		if _, err := sender.Write([]byte("end")); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		if string(buffer[:n]) == "end" {
			break
		}
		received++
	}
	if received == 0 || received >= 500 {
		t.Errorf("%d of more than 500 documents were queued, want some of them, but not all", received)
	}
}

func TestDaemonAddressForms(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"%s", "udp:%s tcp:127.0.0.1:1"} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			daemon := tracingtest.Listen(t)
			setting := "AWS_XRAY_DAEMON_ADDRESS=" + fmt.Sprintf(form, daemon.Address())
			if output := invoke(t, "get", setting, "TRACING_TEST_HEADER="+sampled); output != "" {
				t.Errorf("printed %q, want nothing", output)
			}
			if got := len(daemon.Received(t)); got != 1 {
				t.Errorf("got %d documents, want 1", got)
			}
		})
	}
}

// With each of these, the SDK would panic before main.
func TestBadDaemonAddress(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"nonsense", "127.0.0.1", "127.0.0.1:port", "127.0.0.1:70000", "a b c", "host.invalid:2000",
	} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && strings.Contains(address, "host") {
				t.Skip("needs a name server")
			}
			output := invoke(t, "get", "AWS_XRAY_DAEMON_ADDRESS="+address, "TRACING_TEST_HEADER="+sampled)
			var line struct{ Level, Message, Error, Address string }
			if err := json.Unmarshal([]byte(output), &line); err != nil {
				t.Fatalf("printed %q, want one JSON line: %v", output, err)
			}
			if line.Level != "WARN" || line.Address != address ||
				!strings.HasPrefix(line.Error, "tracing: AWS_XRAY_DAEMON_ADDRESS: want host:port: ") {
				t.Errorf("got %s\nwant a WARN about the address %s", output, address)
			}
		})
	}
}

func TestEnvironmentIsRestored(t *testing.T) {
	t.Parallel()
	if got, want := invoke(t, "environment", "AWS_XRAY_DAEMON_ADDRESS=127.0.0.1:2001"), "127.0.0.1:2001"; got != want {
		t.Errorf("AWS_XRAY_DAEMON_ADDRESS is %q, want %q", got, want)
	}
	if got := invoke(t, "environment"); got != "" {
		t.Errorf("AWS_XRAY_DAEMON_ADDRESS is %q, want none", got)
	}
}

func TestID(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		value any
		want  string
	}{
		{"no header", nil, ""},
		{"empty", "", ""},
		{"sampled", sampled, traceID},
		{"not sampled", "Root=" + traceID + ";Parent=" + parent + ";Sampled=0", traceID},
		{"root alone", "Root=" + traceID, traceID},
		{"with self", "Self=1-63441c4a-abcdef012345678912345678;Root=" + traceID, traceID},
		{"no root", "Parent=" + parent + ";Sampled=1", ""},
		{"not a string", 1, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tracing.ID(invocation{t.Context(), tt.value}); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestKindOf(t *testing.T) {
	t.Parallel()
	tests := map[int]tracing.Kind{
		0: tracing.None, 200: tracing.None, 304: tracing.None, 400: tracing.Error, 404: tracing.Error, 499: tracing.Error,
		429: tracing.Throttle, 500: tracing.Fault, 503: tracing.Fault,
	}
	for status, want := range tests {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			if got := tracing.KindOf(status); got != want {
				t.Errorf("KindOf(%d) is %d, want %d", status, got, want)
			}
		})
	}
}
