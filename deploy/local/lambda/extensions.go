package lambda

import (
	"encoding/json"
	"net/http"
)

// The Extensions API, for internal extensions: those that the function's own process registers. No event is delivered to
// them. Lambda itself delivers no SHUTDOWN to an internal extension: the process gets SIGTERM instead.

const extensionIdentifier = "Lambda-Extension-Identifier"

func (e *environment) serveRegister(w http.ResponseWriter, r *http.Request) {
	name := r.Header.Get("Lambda-Extension-Name")
	var request struct {
		Events []string `json:"events"`
	}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&request)
	switch {
	case name == "":
		refusal(http.StatusForbidden, "Extension.InvalidExtensionName", "Empty extension name").write(w)
	case err != nil:
		refusal(http.StatusForbidden, "InvalidRequestFormat", err.Error()).write(w)
	case len(request.Events) > 0:
		refusal(http.StatusForbidden, "Extension.InvalidEventType",
			request.Events[0]+": no events are sent to internal extensions").write(w)
	default:
		e.call(w, r, func(answers chan<- answer) { answers <- e.register(name) })
	}
}

func (e *environment) register(name string) answer {
	if e.state != stateStarted {
		return refusal(http.StatusForbidden, "Extension.RegistrationClosed", "Extension registration closed already")
	}
	for _, registered := range e.extensions {
		if registered == name {
			return refusal(http.StatusForbidden, "Extension.InvalidExtensionState", "Extension with this name already registered")
		}
	}
	id := randomHex()
	e.extensions[id] = name
	body, err := json.Marshal(map[string]string{
		"functionName":    e.function.Name,
		"functionVersion": version,
		"handler":         e.function.Handler,
	})
	if err != nil {
		panic(err) // strings can always be encoded
	}
	return answer{status: http.StatusOK, header: http.Header{extensionIdentifier: {id}}, body: body}
}

// serveExtensionNext waits for an event. None is ever sent, so that it returns when the process ends.
func (e *environment) serveExtensionNext(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get(extensionIdentifier)
	e.call(w, r, func(answers chan<- answer) {
		if id == "" {
			answers <- refusal(http.StatusForbidden, "Extension.MissingExtensionIdentifier",
				"Missing Lambda-Extension-Identifier header")
		} else if _, known := e.extensions[id]; !known {
			answers <- refusal(http.StatusForbidden, "Extension.UnknownExtensionIdentifier", "Unknown extension "+id)
		}
	})
}
