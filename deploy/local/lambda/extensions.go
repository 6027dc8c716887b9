package lambda

import (
	"encoding/json"
	"net/http"
)

// This file serves the Extensions API to internal extensions, which run in the function's process. They receive no
// events: Lambda sends the process SIGTERM instead of a SHUTDOWN event.

const extensionIdentifier = "Lambda-Extension-Identifier"

func (e *environment) serveRegister(w http.ResponseWriter, r *http.Request) {
	name := r.Header.Get("Lambda-Extension-Name")
	var request struct {
		Events []string `json:"events"`
	}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&request)
	switch {
	case name == "":
		errorResponse(http.StatusForbidden, "Extension.InvalidExtensionName", "Empty extension name").write(w)
	case err != nil:
		errorResponse(http.StatusForbidden, "InvalidRequestFormat", err.Error()).write(w)
	case len(request.Events) > 0:
		errorResponse(http.StatusForbidden, "Extension.InvalidEventType",
			request.Events[0]+": no events are sent to internal extensions").write(w)
	default:
		e.call(w, r, func(responses chan<- apiResponse) { responses <- e.register(name) })
	}
}

func (e *environment) register(name string) apiResponse {
	if e.state != stateStarted {
		return errorResponse(http.StatusForbidden, "Extension.RegistrationClosed", "Extension registration closed already")
	}
	for _, registered := range e.extensions {
		if registered == name {
			return errorResponse(http.StatusForbidden, "Extension.InvalidExtensionState",
				"Extension with this name already registered")
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
		panic(err) // unreachable: strings can always be encoded
	}
	return apiResponse{status: http.StatusOK, header: http.Header{extensionIdentifier: {id}}, body: body}
}

// serveExtensionNext blocks until the process ends: internal extensions receive no events.
func (e *environment) serveExtensionNext(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get(extensionIdentifier)
	e.call(w, r, func(responses chan<- apiResponse) {
		if id == "" {
			responses <- errorResponse(http.StatusForbidden, "Extension.MissingExtensionIdentifier",
				"Missing Lambda-Extension-Identifier header")
		} else if _, known := e.extensions[id]; !known {
			responses <- errorResponse(http.StatusForbidden, "Extension.UnknownExtensionIdentifier", "Unknown extension "+id)
		}
	})
}
