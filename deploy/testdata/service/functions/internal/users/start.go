// Package users is what the functions of this service share. They are as small as the tests of the tools allow: each
// request gets a response that conforms to the API document, a subsegment and a log line.
package users

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-xray-sdk-go/xray"
	"github.com/aws/aws-xray-sdk-go/xraylog"
)

// init keeps the SDK from logging plain text to stdout.
func init() { xray.SetLogger(xraylog.NullLogger) }

// Request is a request about the users in a table.
type Request struct {
	events.APIGatewayProxyRequest
	Table *Table
	ID    string // of the user, in the path or the query; "" if there is none
}

// Response is a response without the headers that all responses have. A status code of at least 400 makes it a problem
// document.
type Response struct {
	Status  int
	Headers map[string]string
	Body    string
}

// Problem is an error that becomes a problem document.
type Problem struct {
	Status int
	Code   string
	Detail string
}

// Error implements error.
func (p *Problem) Error() string { return p.Code }

// Start runs a function that serves requests with handler.
func Start(handler func(context.Context, Request) (Response, error)) {
	table, coldStart := open(), true
	lambda.Start(func(ctx context.Context, event events.APIGatewayProxyRequest) (events.APIGatewayProxyResponse, error) {
		start, operation := time.Now(), event.RequestContext.OperationName
		ctx, span := xray.BeginSubsegment(ctx, operation)
		res, problem := serve(ctx, handler, Request{APIGatewayProxyRequest: event, Table: table})
		line := map[string]any{
			"level": "INFO", "timestamp": start.UTC().Format(time.RFC3339Nano), "message": "request",
			"requestId": event.RequestContext.RequestID, "coldStart": coldStart, "method": event.HTTPMethod,
			"route": event.Resource, "operation": operation, "status": res.StatusCode,
			"durationMs": time.Since(start).Milliseconds(),
		}
		if lc, ok := lambdacontext.FromContext(ctx); ok {
			line["lambdaRequestId"] = lc.AwsRequestID
		}
		outcome := "Success"
		if problem != nil {
			outcome, line["errorCode"] = "Error", problem.Code
			_ = span.AddAnnotation("ErrorCode", problem.Code)
			span.Lock()
			span.Error, span.Fault = problem.Status < http.StatusInternalServerError, problem.Status >= http.StatusInternalServerError
			span.Unlock()
		}
		for key, value := range map[string]any{"Operation": operation, "Outcome": outcome, "ColdStart": coldStart} {
			_ = span.AddAnnotation(key, value)
		}
		span.Close(nil)
		coldStart = false
		return res, json.NewEncoder(os.Stdout).Encode(line)
	})
}

// serve returns the handler's response with the headers of all responses, or its error as a problem document.
func serve(
	ctx context.Context, handler func(context.Context, Request) (Response, error), r Request,
) (events.APIGatewayProxyResponse, *Problem) {
	var res Response
	err := r.findID()
	if err == nil {
		res, err = handler(ctx, r)
	}
	headers := map[string]string{
		"Cache-Control": "no-store", "Content-Type": "application/json", "X-Content-Type-Options": "nosniff",
		"Access-Control-Allow-Origin": os.Getenv("CORS_ALLOW_ORIGIN"),
		"Access-Control-Expose-Headers": "Accept, Accept-Encoding, Allow, Content-Location, Date, ETag, " +
			"Idempotent-Replayed, Link, Location, Retry-After, x-amz-apigw-id, x-amzn-ErrorType, " +
			"x-amzn-RequestId, X-Amzn-Trace-Id",
	}
	problem, _ := errors.AsType[*Problem](err)
	if err != nil && problem == nil {
		problem = &Problem{http.StatusInternalServerError, "StoreUnavailable", err.Error()}
	}
	if problem != nil {
		headers["Content-Type"] = "application/problem+json"
		document := map[string]any{
			"type": "urn:problem-type:userrequestapi:" + problem.Code, "title": problem.Code, "status": problem.Status,
			"detail": problem.Detail, "code": problem.Code, "instance": r.RequestContext.Path,
			"requestId": r.RequestContext.RequestID,
		}
		if problem.Code == "InvalidUser" {
			document["errors"] = []map[string]string{{"pointer": "#/userId", "code": "InvalidUserId", "detail": problem.Detail}}
		}
		body, _ := json.Marshal(document) // fails for no string or number
		return events.APIGatewayProxyResponse{StatusCode: problem.Status, Headers: headers, Body: string(body)}, problem
	}
	for name, value := range res.Headers {
		headers[name] = value
	}
	if res.Body == "" {
		delete(headers, "Content-Type")
	}
	return events.APIGatewayProxyResponse{StatusCode: res.Status, Headers: headers, Body: res.Body}, nil
}

// Header returns a header of the request, whose names have no case.
func (r Request) Header(name string) string {
	for key, value := range r.Headers {
		if strings.EqualFold(key, name) {
			return value
		}
	}
	return ""
}

// findID sets the id of the request.
func (r *Request) findID() error {
	invalid := &Problem{http.StatusBadRequest, "InvalidUserId", "The userId is blank or its encoding is not valid."}
	id, inQuery := r.QueryStringParameters["userId"]
	if inQuery && strings.TrimSpace(id) == "" {
		return invalid
	}
	if encoded, ok := r.PathParameters["userId"]; ok { // API Gateway does not decode it
		var err error
		if id, err = url.PathUnescape(encoded); err != nil {
			return invalid
		}
	}
	r.ID = id
	return nil
}

// User returns the response with a user.
func (r Request) User(status int, u User) Response {
	location := fmt.Sprintf("/%s/users/%s", r.RequestContext.Stage, url.PathEscape(u.ID))
	res := Response{status, map[string]string{
		"ETag": u.ETag(), "Content-Location": location, "Cache-Control": "private, no-cache",
	}, u.Document}
	switch status {
	case http.StatusCreated:
		res.Headers["Location"], res.Headers["Cache-Control"] = location, "no-store"
	case http.StatusNotModified:
		res.Body = ""
	}
	return res
}
