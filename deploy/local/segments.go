package local

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/userrequestapi/userdata/deploy/aws/trace"
	"github.com/userrequestapi/userdata/deploy/local/apigateway"
	"github.com/userrequestapi/userdata/deploy/local/lambda"
	"github.com/userrequestapi/userdata/deploy/template"
)

// stageSegment returns API Gateway's segment for a request, with a subsegment for the invocation. Its URL has the path
// of the resource, because the path and query of the request, which API Gateway's own segment contains, identify users.
func stageSegment(r apigateway.Record, api template.API, address string) trace.Document {
	d := trace.Document{
		Name:        api.Name + "/" + api.Stage,
		ID:          r.Trace.Segment,
		TraceID:     r.Trace.Root,
		ParentID:    r.Trace.Caller,
		StartTime:   trace.Seconds(r.Time),
		EndTime:     trace.Seconds(r.Time.Add(r.Latency)),
		Origin:      "AWS::ApiGateway::Stage",
		ResourceARN: fmt.Sprintf("arn:aws:apigateway:%s::/restapis/%s/stages/%s", region, api.ID, api.Stage),
		HTTP: &trace.HTTP{
			Request: &trace.HTTPRequest{
				Method:        truncate(r.Method),
				URL:           address + api.Stage + r.ResourcePath,
				ClientIP:      r.SourceIP,
				XForwardedFor: true,
			},
			Response: &trace.HTTPResponse{Status: r.Status, ContentLength: r.ResponseLength},
		},
		AWS: map[string]any{"api_gateway": map[string]any{
			"account_id": accountID, "rest_api_id": api.ID, "stage": api.Stage, "request_id": r.RequestID,
		}},
	}
	flagStatus(&d, r.Status)
	if r.FunctionARN == "" {
		return d
	}
	call := trace.Document{
		Name:      "Lambda",
		ID:        r.Trace.Parent,
		Namespace: "aws",
		StartTime: trace.Seconds(r.IntegrationTime),
		EndTime:   trace.Seconds(r.IntegrationTime.Add(r.IntegrationLatency)),
		HTTP: &trace.HTTP{
			Request: &trace.HTTPRequest{
				Method: http.MethodPost,
				URL:    fmt.Sprintf("https://lambda.%s.amazonaws.com/2015-03-31/functions/%s/invocations", region, r.FunctionARN),
				Traced: r.FunctionRequestID != "" || r.IntegrationStatus == 0, // then Lambda sends a segment
			},
		},
		AWS: map[string]any{
			"operation": "Invoke", "region": region, "function_name": functionName(r.FunctionARN),
			"resource_names": []string{functionName(r.FunctionARN)},
		},
	}
	if r.FunctionRequestID != "" {
		call.AWS["request_id"] = r.FunctionRequestID
	}
	if r.IntegrationStatus == http.StatusOK && r.FunctionRequestID == "" { // the response of buildFailed
		call.Fault, call.Cause = true, &trace.Cause{Exceptions: []trace.Exception{{ID: trace.NewID(), Type: buildFailedCode}}}
	}
	if r.IntegrationStatus != 0 {
		call.HTTP.Response = &trace.HTTPResponse{Status: r.IntegrationStatus}
	}
	flagStatus(&call, r.IntegrationStatus)
	call.Fault = call.Fault || r.IntegrationError != "" && !call.Error // no response, or a malformed one
	d.Subsegments = []trace.Document{call}
	return d
}

// truncate shortens a string from a request to X-Ray's limit.
func truncate(str string) string {
	const limit = 250 // bytes
	return strings.ToValidUTF8(str[:min(len(str), limit)], "")
}

// functionName returns the function name in the ARN of a function, an alias or a version.
func functionName(functionARN string) string {
	name, err := arn.Parse(functionARN)
	if parts := strings.Split(name.Resource, ":"); err == nil && len(parts) > 1 { // function:name:qualifier
		return parts[1]
	}
	return functionARN
}

// flagStatus sets the flags error, throttle and fault as X-Ray defines them.
func flagStatus(d *trace.Document, status int) {
	switch {
	case status == http.StatusTooManyRequests:
		d.Error, d.Throttle = true, true
	case status >= http.StatusInternalServerError:
		d.Fault = true
	case status >= http.StatusBadRequest:
		d.Error = true
	}
}

// lambdaSegments returns Lambda's segments for an invocation: one for the service, and one for the function if it ran.
func lambdaSegments(i lambda.Invocation) []trace.Document {
	responded := i.Responded
	if responded.IsZero() {
		responded = i.Ended
	}
	service := trace.Document{
		Name:        i.Function,
		ID:          i.LambdaSegment,
		TraceID:     i.TraceID,
		ParentID:    i.Parent,
		StartTime:   trace.Seconds(i.Received),
		EndTime:     trace.Seconds(responded),
		Origin:      "AWS::Lambda",
		ResourceARN: i.ARN,
		HTTP:        &trace.HTTP{Response: &trace.HTTPResponse{Status: i.Status}},
		AWS:         map[string]any{"request_id": i.RequestID, "resource_names": []string{i.Function}},
	}
	flagStatus(&service, i.Status)
	if i.Started.IsZero() {
		service.Cause = cause(i)
		return []trace.Document{service}
	}
	function := trace.Document{
		Name:        i.Function,
		ID:          i.FunctionSegment,
		TraceID:     i.TraceID,
		ParentID:    i.LambdaSegment,
		StartTime:   trace.Seconds(i.Started),
		EndTime:     trace.Seconds(i.Ended),
		Origin:      "AWS::Lambda::Function",
		ResourceARN: i.ARN,
		AWS: map[string]any{
			"account_id": accountID, "function_arn": i.ARN, "request_id": i.RequestID, "resource_names": []string{i.Function},
		},
		Cause: cause(i),
	}
	addSubsegment := func(name string, start, end time.Time) {
		function.Subsegments = append(function.Subsegments, trace.Document{
			Name: name, ID: trace.NewID(), StartTime: trace.Seconds(start), EndTime: trace.Seconds(end),
		})
	}
	if !i.InitStarted.IsZero() {
		addSubsegment("Initialization", i.InitStarted, i.InitEnded)
	}
	addSubsegment("Invocation", i.Started, responded)
	if i.Error != nil {
		service.Fault, function.Fault = true, true
		function.Subsegments[len(function.Subsegments)-1].Fault = true
	}
	if responded.Before(i.Ended) {
		addSubsegment("Overhead", responded, i.Ended)
	}
	return []trace.Document{service, function}
}

// cause returns the cause of a failed invocation, or nil. Messages of the function's exceptions are omitted, because
// they may contain personal data.
func cause(i lambda.Invocation) *trace.Cause {
	if i.Error == nil {
		return nil
	}
	document := struct {
		Exceptions []struct {
			Type string `json:"type"`
		} `json:"exceptions"`
	}{}
	_ = json.Unmarshal(i.Cause, &document) // may be absent or invalid
	exceptions := []trace.Exception{{ID: trace.NewID(), Type: truncate(i.Error.Type), Message: truncate(i.Error.Message)}}
	for _, e := range document.Exceptions {
		if e.Type != "" && e.Type != i.Error.Type {
			exceptions = append(exceptions, trace.Exception{ID: trace.NewID(), Type: truncate(e.Type)})
		}
	}
	return &trace.Cause{Exceptions: exceptions}
}
