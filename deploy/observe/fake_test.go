package observe_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/userrequestapi/userdata/deploy/aws/changeset/changesettest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/observe"
	"github.com/userrequestapi/userdata/deploy/release/progress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The log groups of the stage test.
const (
	getGroup       = "/aws/lambda/UserRequestAPI-test-get"
	putGroup       = "/aws/lambda/UserRequestAPI-test-put"
	accessGroup    = "/aws/apigateway/UserRequestAPI-test"
	executionGroup = "API-Gateway-Execution-Logs_api1/test"
)

// fake is an AWS account with the stage test, behind one endpoint: CloudFormation, X-Ray and CloudWatch Logs, with
// responses as in the API references.
type fake struct {
	cloudFormation *changesettest.CloudFormation
	root           string

	mu        sync.Mutex
	page      int // page size
	events    map[string][]event
	summaries []map[string]any
	documents map[string][]string
	unread    []string // IDs of unprocessed traces
	noRole    bool     // API Gateway's role for logs does not exist
	indexed   bool     // X-Ray indexes all traces
	faults    map[string][]fault
	requests  map[string][]map[string]any // by operation
	onRequest func(operation string)      // called for each request; may be nil
}

// event is a log event of CloudWatch Logs.
type event struct {
	ID        string `json:"eventId"`
	Timestamp int64  `json:"timestamp"`
	Ingested  int64  `json:"ingestionTime"`
	Stream    string `json:"logStreamName"`
	Message   string `json:"message"`
}

// fault is an error that an operation returns once.
type fault struct {
	status        int
	code, message string
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{
		cloudFormation: changesettest.New(t), root: t.TempDir(), page: 2, events: map[string][]event{}, documents: map[string][]string{},
		indexed: true, faults: map[string][]fault{}, requests: map[string][]map[string]any{},
	}
	for _, name := range []string{"template.yaml", "openapi.yaml"} {
		content, err := os.ReadFile(filepath.Join("..", "testdata", "service", "deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		f.write(t, name, content)
	}
	f.write(t, "stages/test.yaml", nil)
	f.cloudFormation.Page(3)
	f.cloudFormation.Put("UserRequestAPI-test", "UPDATE_COMPLETE", fmt.Appendf(nil, `{
		"Metadata": {"Release": {"Number": 1, "Key": "k", "Previous": "", "Digest": "", "Source": "", "Parameters": {}}},
		"Resources": {
			"GetFunction": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "UserRequestAPI-test-get"}},
			"GetLogGroup": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": %q}},
			"PutLogGroup": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": %q}},
			"ApiAccessLogGroup": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": %q}},
			"ApiExecutionLogGroup": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": %q}}
		},
		"Outputs": {"ApiId": {"Value": "api1"}, "StageName": {"Value": "test"}}
	}`, getGroup, putGroup, accessGroup, executionGroup))
	changesettest.Serve(t, f)
	return f
}

func (f *fake) write(t *testing.T, name string, content []byte) {
	t.Helper()
	testenv.WriteFile(t, filepath.Join(f.root, "deploy", name), string(content))
}

// log adds a line to a log group.
func (f *fake) log(group string, at time.Time, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events[group] = append(f.events[group], event{
		ID: fmt.Sprintf("%056d", len(f.events[group])), Timestamp: at.UnixMilli(), Ingested: at.UnixMilli() + 1500, Stream: "2026/11/22/[1]abc",
		Message: text + "\n",
	})
}

// fail makes the next call of an operation fail.
func (f *fake) fail(operation string, status int, code, message string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults[operation] = append(f.faults[operation], fault{status, code, message})
}

// calls returns the bodies of an operation's requests.
func (f *fake) calls(operation string) []map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests[operation])
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		if err := r.ParseForm(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		switch r.PostForm.Get("Action") {
		default:
			f.cloudFormation.ServeHTTP(w, r)
			return
		case "GetRole":
			if name := r.PostForm.Get("RoleName"); f.noRole {
				changesettest.WriteNoRole(w, name)
			} else {
				changesettest.WriteRole(w, name, "apigateway.amazonaws.com")
			}
			return
		case "GetCallerIdentity":
		}
		_, _ = io.WriteString(w, `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>`+
			`<Arn>arn:aws:iam::123456789012:user/ops</Arn><UserId>AIDA</UserId><Account>123456789012</Account>`+
			`</GetCallerIdentityResult></GetCallerIdentityResponse>`)
		return
	}
	operation, contentType := strings.TrimPrefix(r.URL.Path, "/"), "application/json"
	if target, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "Logs_20140328."); ok {
		operation, contentType = target, "application/x-amz-json-1.1"
	}
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil && !errors.Is(err, io.EOF) {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	onRequest := f.onRequest
	f.mu.Unlock()
	if onRequest != nil {
		onRequest(operation)
	}
	status, response := f.respond(operation, body)
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(response)
}

func (f *fake) respond(operation string, body map[string]any) (int, any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests[operation] = append(f.requests[operation], body)
	if faults := f.faults[operation]; len(faults) > 0 {
		f.faults[operation] = faults[1:]
		message := "message"
		if faults[0].code == "InvalidRequestException" || faults[0].code == "ThrottledException" { // X-Ray's own
			message = "Message"
		}
		return faults[0].status, map[string]string{"__type": faults[0].code, message: faults[0].message}
	}
	switch operation {
	case "TraceSummaries":
		return http.StatusOK, f.traceSummaries(body)
	case "Traces":
		return http.StatusOK, f.traces(body)
	case "GetTraceSegmentDestination":
		destination := "XRay"
		if !f.indexed {
			destination = "CloudWatchLogs"
		}
		return http.StatusOK, map[string]string{"Destination": destination, "Status": "ACTIVE"}
	case "account":
		return http.StatusOK, map[string]string{"cloudwatchRoleArn": "arn:aws:iam::123456789012:role/service-role/logs"}
	case "FilterLogEvents":
		return f.filterLogEvents(body)
	}
	return http.StatusNotFound, map[string]string{"__type": "UnknownOperationException"}
}

// traceSummaries returns the latest traces first. It ignores the filter expression.
func (f *fake) traceSummaries(body map[string]any) any {
	start, end := body["StartTime"].(float64), body["EndTime"].(float64)
	var within []map[string]any
	for _, s := range f.summaries {
		if at := s["StartTime"].(float64); at >= start && at < end {
			within = append(within, s)
		}
	}
	slices.SortFunc(within, func(a, b map[string]any) int { return int(b["StartTime"].(float64) - a["StartTime"].(float64)) })
	page, next := cut(within, body["NextToken"], f.page)
	response := map[string]any{"ApproximateTime": end, "TraceSummaries": page, "TracesProcessedCount": len(within)}
	if next != "" {
		response["NextToken"] = next
	}
	return response
}

func (f *fake) traces(body map[string]any) any {
	id := body["TraceIds"].([]any)[0].(string)
	if slices.Contains(f.unread, id) {
		return map[string]any{"Traces": []any{}, "UnprocessedTraceIds": []string{id}}
	}
	var segments []map[string]string
	for _, document := range f.documents[id] {
		segments = append(segments, map[string]string{"Id": "0123456789abcdef", "Document": document})
	}
	page, next := cut(segments, body["NextToken"], f.page)
	response := map[string]any{"Traces": []any{}, "UnprocessedTraceIds": []string{}}
	if len(page) > 0 {
		response["Traces"] = []any{map[string]any{"Id": id, "Duration": 0.1, "LimitExceeded": false, "Segments": page}}
	}
	if next != "" {
		response["NextToken"] = next
	}
	return response
}

// filterLogEvents supports quoted terms as filter patterns and returns all lines for others. Every second page is
// empty.
func (f *fake) filterLogEvents(body map[string]any) (int, any) {
	group, _ := body["logGroupName"].(string)
	if f.events[group] == nil {
		return http.StatusBadRequest, map[string]string{
			"__type": "ResourceNotFoundException", "message": "The specified log group does not exist.",
		}
	}
	start, _ := body["startTime"].(float64)
	end, bounded := body["endTime"].(float64)
	pattern, _ := body["filterPattern"].(string)
	events := []event{}
	for _, e := range f.events[group] {
		at := float64(e.Timestamp)
		if at >= start && (!bounded || at <= end) && matches(pattern, e.Message) {
			events = append(events, e)
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return int(a.Timestamp - b.Timestamp) })
	if body["startFromHead"] == false {
		slices.Reverse(events)
	}
	token, _ := body["nextToken"].(string)
	if rest, ok := strings.CutPrefix(token, "empty"); ok {
		return http.StatusOK, map[string]any{"events": []event{}, "searchedLogStreams": []any{}, "nextToken": rest}
	}
	page, next := cut(events, token, f.page)
	response := map[string]any{"events": page, "searchedLogStreams": []any{}}
	if next != "" {
		response["nextToken"] = "empty" + next
	}
	return http.StatusOK, response
}

func matches(pattern, message string) bool {
	if !strings.HasPrefix(pattern, `"`) {
		return true
	}
	for term := range strings.SplitSeq(strings.Trim(pattern, `"`), `" "`) {
		if !strings.Contains(message, term) {
			return false
		}
	}
	return true
}

// cut returns a page of a list and the token of the next page.
func cut[E any](all []E, token any, size int) ([]E, string) {
	text, _ := token.(string)
	start, _ := strconv.Atoi(text)
	if end := start + size; end < len(all) {
		return all[start:end], strconv.Itoa(end)
	}
	return all[min(start, len(all)):], ""
}

// target is a target of the package.
type target = func(context.Context, observe.Settings) error

// run runs a target for the stage and returns its output and its progress lines.
func (f *fake) run(ctx context.Context, do target, s observe.Settings) (shown, said string, err error) {
	var out, notes bytes.Buffer
	if s.Out == nil {
		s.Out = &out
	}
	s.Root, s.Stage, s.Printer = f.root, "test", progress.New(&notes, progress.Options{})
	err = do(ctx, s)
	return out.String(), notes.String(), err
}

// code returns mage's exit code for an error, which the outermost error sets.
func code(err error) int {
	if err == nil {
		return 0
	}
	if coded, ok := err.(interface{ ExitStatus() int }); ok {
		return coded.ExitStatus()
	}
	return -1
}
