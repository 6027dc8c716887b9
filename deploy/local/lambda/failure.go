package lambda

import (
	"encoding/json"
	"fmt"
	"syscall"

	"github.com/userrequestapi/userdata/deploy/host/process"
)

// failure describes why an init or an invocation failed.
type failure struct {
	status    string // "error" or "timeout", as in platform.report
	errorType string
	message   string          // for traces; "" if the function wrote it
	document  []byte          // error document for the caller
	cause     json.RawMessage // X-Ray error cause reported by the runtime, or nil
}

// exitMessage returns Lambda's message for a process that has exited.
func exitMessage(p *process.Process) string {
	if p.State().Success() {
		return "Runtime exited without providing a reason"
	}
	status, ok := p.State().Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return "Runtime exited with error: signal: " + status.Signal().String() // no "(core dumped)"
	}
	return "Runtime exited with error: " + p.State().String()
}

// invocationFailure returns a failure whose message names the invocation, as Lambda's own messages do.
func (e *environment) invocationFailure(errorType, message string) *failure {
	var id string
	if e.invocation != nil {
		id = e.invocation.RequestID
	}
	return newFailure("error", errorType, fmt.Sprintf("RequestId: %s Error: %s", id, message))
}

func newFailure(status, errorType, message string) *failure {
	return &failure{status: status, errorType: errorType, message: message, document: errorDocument(errorType, message)}
}

func errorDocument(errorType, message string) []byte {
	document, err := json.Marshal(struct {
		ErrorType    string `json:"errorType"`
		ErrorMessage string `json:"errorMessage"`
	}{errorType, message})
	if err != nil {
		panic(err) // unreachable: strings can always be encoded
	}
	return document
}
