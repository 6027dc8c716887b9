package lambda

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
)

// answer is an answer to a call of the Runtime API or the Extensions API.
type answer struct {
	status int
	header http.Header // beyond Content-Type
	body   []byte
}

// routes serves the APIs to all environments: the first element of the path is the id of the caller's own.
func (h *Host) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(method, path string, handler func(*environment, http.ResponseWriter, *http.Request)) {
		mux.HandleFunc(method+" /{environment}/"+path, func(w http.ResponseWriter, r *http.Request) {
			h.mu.Lock()
			e := h.environments[r.PathValue("environment")]
			h.mu.Unlock()
			if e == nil {
				refusal(http.StatusForbidden, "InvalidEnvironment", "No such execution environment").write(w)
				return
			}
			handler(e, w, r)
		})
	}
	handle("GET", "2018-06-01/runtime/invocation/next", (*environment).serveNext)
	handle("POST", "2018-06-01/runtime/invocation/{id}/response", (*environment).serveResponse)
	handle("POST", "2018-06-01/runtime/invocation/{id}/error", (*environment).serveError)
	handle("POST", "2018-06-01/runtime/init/error", (*environment).serveInitError)
	handle("POST", "2020-01-01/extension/register", (*environment).serveRegister)
	handle("GET", "2020-01-01/extension/event/next", (*environment).serveExtensionNext)
	return mux
}

func (e *environment) serveNext(w http.ResponseWriter, r *http.Request) { e.call(w, r, e.ready) }

func (e *environment) serveResponse(w http.ResponseWriter, r *http.Request) {
	body, err := readPayload(r)
	if err != nil {
		truncated(err).write(w)
		return
	}
	e.call(w, r, func(answers chan<- answer) { e.respond(r.PathValue("id"), body, nil, answers) })
}

func (e *environment) serveError(w http.ResponseWriter, r *http.Request) {
	failed, err := readFailure(r)
	if err != nil {
		truncated(err).write(w)
		return
	}
	e.call(w, r, func(answers chan<- answer) { e.respond(r.PathValue("id"), nil, failed, answers) })
}

func (e *environment) serveInitError(w http.ResponseWriter, r *http.Request) {
	failed, err := readFailure(r)
	if err != nil {
		truncated(err).write(w)
		return
	}
	e.call(w, r, func(answers chan<- answer) { e.reportInitError(failed, answers) })
}

// call runs f on the environment's goroutine and writes the answer, which f may leave to a later event to give. answers
// has room for one.
func (e *environment) call(w http.ResponseWriter, r *http.Request, f func(answers chan<- answer)) {
	answers := make(chan answer, 1)
	select {
	case e.calls <- func() { f(answers) }:
	case <-e.ended:
		return // nobody is left to read an answer
	case <-r.Context().Done():
		return
	}
	select {
	case a := <-answers:
		a.write(w)
	case <-e.ended:
	case <-r.Context().Done():
	}
}

func (a answer) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // fails only when the process has died, which is handled as such
}

// refusal is an error of the Runtime API.
func refusal(status int, errorType, message string) answer {
	return answer{status: status, body: errorDocument(errorType, message)}
}

func forbiddenTransition(from, to state) answer {
	return refusal(http.StatusForbidden, "InvalidStateTransition",
		fmt.Sprintf("State transition from %s to %s failed for runtime. Error: State transition is not allowed", from, to))
}

func truncated(err error) answer {
	return refusal(http.StatusBadRequest, "TruncatedHTTPRequest", fmt.Sprintf("HTTP request detected as truncated: %v", err))
}

// readPayload reads the body, and of a body that is too large so much that it shows.
func readPayload(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxResponseBytes+1))
	if err == nil && len(body) > maxResponseBytes {
		// A runtime that is still sending would not see the answer.
		_, err = io.Copy(io.Discard, r.Body)
	}
	return body, err
}

// readFailure reads the error that a runtime reports. The document goes to the caller as it is.
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
		_ = json.Unmarshal(document, &fields) // it may be anything
		failed.errorType = fields.ErrorType
	}
	var cause map[string]json.RawMessage
	if raw := []byte(r.Header.Get("Lambda-Runtime-Function-Xray-Error-Cause")); json.Unmarshal(raw, &cause) == nil && cause != nil {
		failed.cause = raw
	}
	return failed, nil
}
