package lambda

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
)

// apiResponse is a response of the Runtime API.
type apiResponse struct {
	status int
	header http.Header // in addition to Content-Type
	body   []byte
}

// routes returns the handler of the Runtime API. The first path segment is the id of an environment.
func (h *Host) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(method, path string, handler func(*environment, http.ResponseWriter, *http.Request)) {
		mux.HandleFunc(method+" /{environment}/"+path, func(w http.ResponseWriter, r *http.Request) {
			h.mu.Lock()
			e := h.environments[r.PathValue("environment")]
			h.mu.Unlock()
			if e == nil {
				errorResponse(http.StatusForbidden, "InvalidEnvironment", "No such execution environment").write(w)
				return
			}
			handler(e, w, r)
		})
	}
	handle("GET", "2018-06-01/runtime/invocation/next", (*environment).serveNext)
	handle("POST", "2018-06-01/runtime/invocation/{id}/response", (*environment).serveResponse)
	handle("POST", "2018-06-01/runtime/invocation/{id}/error", (*environment).serveError)
	handle("POST", "2018-06-01/runtime/init/error", (*environment).serveInitError)
	return mux
}

func (e *environment) serveNext(w http.ResponseWriter, r *http.Request) { e.call(w, r, e.handleNext) }

func (e *environment) serveResponse(w http.ResponseWriter, r *http.Request) {
	body, err := readPayload(r)
	if err != nil {
		truncatedRequest(err).write(w)
		return
	}
	e.call(w, r, func(responses chan<- apiResponse) { e.handleResponse(r.PathValue("id"), body, nil, responses) })
}

func (e *environment) serveError(w http.ResponseWriter, r *http.Request) {
	failed, err := readFailure(r)
	if err != nil {
		truncatedRequest(err).write(w)
		return
	}
	e.call(w, r, func(responses chan<- apiResponse) { e.handleResponse(r.PathValue("id"), nil, failed, responses) })
}

func (e *environment) serveInitError(w http.ResponseWriter, r *http.Request) {
	failed, err := readFailure(r)
	if err != nil {
		truncatedRequest(err).write(w)
		return
	}
	e.call(w, r, func(responses chan<- apiResponse) { e.handleInitError(failed, responses) })
}

// call runs f on the environment's goroutine and writes the response, which f or a later event sends to the buffered
// channel (capacity 1).
func (e *environment) call(w http.ResponseWriter, r *http.Request, f func(responses chan<- apiResponse)) {
	responses := make(chan apiResponse, 1)
	select {
	case e.calls <- func() { f(responses) }:
	case <-e.ended:
		return // the process has ended and reads no response
	case <-r.Context().Done():
		return
	}
	select {
	case resp := <-responses:
		resp.write(w)
	case <-e.ended:
	case <-r.Context().Done():
	}
}

func (r apiResponse) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	maps.Copy(w.Header(), r.header)
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body) // fails only if the process has ended, which run handles
}

// errorResponse returns an error response of the Runtime API.
func errorResponse(status int, errorType, message string) apiResponse {
	return apiResponse{status: status, body: errorDocument(errorType, message)}
}

func forbiddenTransition(from, to state) apiResponse {
	return errorResponse(http.StatusForbidden, "InvalidStateTransition",
		fmt.Sprintf("State transition from %s to %s failed for runtime. "+
			"Error: State transition is not allowed", from, to))
}

func truncatedRequest(err error) apiResponse {
	return errorResponse(http.StatusBadRequest, "TruncatedHTTPRequest",
		fmt.Sprintf("HTTP request detected as truncated: %v", err))
}

// readPayload reads the body. It truncates a body over maxResponseBytes to one byte more than the limit.
func readPayload(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxResponseBytes+1))
	if err == nil && len(body) > maxResponseBytes {
		// A runtime that is still sending would not read the response.
		_, err = io.Copy(io.Discard, r.Body)
	}
	return body, err
}

// readFailure reads the error reported by a runtime. The caller receives the document unchanged.
func readFailure(r *http.Request) (*failure, error) {
	document, err := readPayload(r)
	if err != nil {
		return nil, err
	}
	if len(document) > maxResponseBytes {
		return newFailure("error", "Function.ResponseSizeTooLarge",
			fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", maxResponseBytes)), nil
	}
	failed := &failure{status: "error", errorType: r.Header.Get("Lambda-Runtime-Function-Error-Type"), document: document}
	if failed.errorType == "" {
		var fields struct {
			ErrorType string `json:"errorType"`
		}
		_ = json.Unmarshal(document, &fields) // the document need not be JSON
		failed.errorType = fields.ErrorType
	}
	var cause map[string]json.RawMessage
	raw := []byte(r.Header.Get("Lambda-Runtime-Function-Xray-Error-Cause"))
	if json.Unmarshal(raw, &cause) == nil && cause != nil {
		failed.cause = raw
	}
	return failed, nil
}
