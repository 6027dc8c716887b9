package local

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"strings"

	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/local/apigateway"
	"github.com/userrequestapi/userdata/deploy/local/console"
	"github.com/userrequestapi/userdata/deploy/template"
)

// invoker is the step of a request between the gateway and Lambda (step 3 of "A request" in docs/architecture.md): the
// gateway calls it with the proxy event, and it invokes the function on the host. For a function that does not compile,
// it returns a response with the compiler's output.
type invoker struct {
	stack     *Instance
	functions map[string]template.Function // by ARN
}

func newInvoker(s *Instance, functions []template.Function) invoker {
	i := invoker{stack: s, functions: make(map[string]template.Function, len(functions))}
	for _, f := range functions {
		i.functions[f.ARN] = f
	}
	return i
}

// Invoke implements [apigateway.Invoker].
func (i invoker) Invoke(ctx context.Context, arn, trace string, payload []byte) (apigateway.InvokeOutput, error) {
	i.stack.invocations.record(arn)
	if f, found := i.functions[arn]; found {
		if failure, failed := i.stack.failures.get(path.Base(f.Source)); failed {
			document := i.stack.resources.Load().API().Document
			response, err := buildFailed(document, failure, f.Environment["CORS_ALLOW_ORIGIN"], payload)
			return apigateway.InvokeOutput{Payload: response}, err
		}
	}
	output, err := i.stack.Host.Invoke(ctx, arn, trace, payload)
	return apigateway.InvokeOutput(output), err
}

const buildFailedCode = "BuildFailed"

// buildFailed returns the response for a function that does not compile: a problem document (RFC 9457) in the
// functions' format.
func buildFailed(
	document *contract.Document, failure console.Failure, allowOrigin string, payload []byte,
) ([]byte, error) {
	var event struct {
		RequestContext struct {
			Path      string `json:"path"` // with the stage
			RequestID string `json:"requestId"`
		} `json:"requestContext"`
	}
	if err := json.Unmarshal(payload, &event); err != nil {
		return nil, fmt.Errorf("read the event: %w", err)
	}
	segments := strings.FieldsFunc(event.RequestContext.Path, func(r rune) bool { return r == '/' }) // without empty ones
	problem, err := json.Marshal(map[string]any{
		"type":      document.ProblemType(buildFailedCode),
		"title":     "The function does not compile",
		"status":    http.StatusInternalServerError,
		"detail":    failure.Output,
		"instance":  "/" + strings.Join(segments, "/"),
		"code":      buildFailedCode,
		"requestId": event.RequestContext.RequestID,
	})
	if err != nil {
		return nil, fmt.Errorf("encode the problem: %w", err)
	}
	headers := map[string]string{
		"Content-Type": contract.ProblemMediaType, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
	}
	if allowOrigin != "" {
		headers["Access-Control-Allow-Origin"] = allowOrigin
	}
	response, err := json.Marshal(map[string]any{
		"statusCode": http.StatusInternalServerError, "headers": headers, "body": string(problem),
	})
	if err != nil {
		return nil, fmt.Errorf("encode the response: %w", err)
	}
	return response, nil
}
