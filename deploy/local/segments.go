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

// stageSegment is what API Gateway sends X-Ray of a request, and of its call of Lambda. The request's URL begins with the address of
// the stack, and has the path of the resource; API Gateway's own segment has the path and query that the client sent, which name users.
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
				Traced: r.FunctionRequestID != "" || r.IntegrationStatus == 0, // Lambda sends a segment of its own
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
	if r.IntegrationStatus == http.StatusOK && r.FunctionRequestID == "" { // see invoker
		call.Fault, call.Cause = true, &trace.Cause{Exceptions: []trace.Exception{{ID: trace.NewID(), Type: buildFailedCode}}}
	}
	if r.IntegrationStatus != 0 {
		call.HTTP.Response = &trace.HTTPResponse{Status: r.IntegrationStatus}
	}
	flagStatus(&call, r.IntegrationStatus)
	call.Fault = call.Fault || r.IntegrationError != "" && !call.Error // no answer, or not a usable one
	d.Subsegments = []trace.Document{call}
	return d
}

// truncate cuts a text that comes from outside to what X-Ray takes.
func truncate(text string) string {
	const limit = 250 // bytes
	return strings.ToValidUTF8(text[:min(len(text), limit)], "")
}

// functionName returns the name in the ARN of a function, an alias or a version.
func functionName(functionARN string) string {
	name, err := arn.Parse(functionARN)
	if parts := strings.Split(name.Resource, ":"); err == nil && len(parts) > 1 { // function:name:qualifier
		return parts[1]
	}
	return functionARN
}

// flagStatus flags a failure as X-Ray means the flags.
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

// lambdaSegments are what Lambda sends X-Ray of an invocation: a segment of the service, and one of the function where it was run.
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
	part := func(name string, start, end time.Time) {
		function.Subsegments = append(function.Subsegments, trace.Document{
			Name: name, ID: trace.NewID(), StartTime: trace.Seconds(start), EndTime: trace.Seconds(end),
		})
	}
	if !i.InitStarted.IsZero() {
		part("Initialization", i.InitStarted, i.InitEnded)
	}
	part("Invocation", i.Started, responded)
	if i.Error != nil {
		service.Fault, function.Fault = true, true
		function.Subsegments[len(function.Subsegments)-1].Fault = true
	}
	if responded.Before(i.Ended) {
		part("Overhead", responded, i.Ended)
	}
	return []trace.Document{service, function}
}

// cause is why an invocation failed. What a function itself says about it can be about a person, so only the names of its
// exceptions are taken.
func cause(i lambda.Invocation) *trace.Cause {
	if i.Error == nil {
		return nil
	}
	said := struct {
		Exceptions []struct {
			Type string `json:"type"`
		} `json:"exceptions"`
	}{}
	_ = json.Unmarshal(i.Cause, &said) // it may be absent, or anything
	exceptions := []trace.Exception{{ID: trace.NewID(), Type: truncate(i.Error.Type), Message: truncate(i.Error.Message)}}
	for _, e := range said.Exceptions {
		if e.Type != "" && e.Type != i.Error.Type {
			exceptions = append(exceptions, trace.Exception{ID: trace.NewID(), Type: truncate(e.Type)})
		}
	}
	return &trace.Cause{Exceptions: exceptions}
}
