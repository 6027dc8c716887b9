package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/userrequestapi/userdata/shared/client/api"
)

// Problem is an error response, as a problem document (RFC 9457). Status is always set. Code is one of the constants
// such as [CodeUserNotFound], or empty if API Gateway responded in its own format; Detail then has its message.
type Problem struct{ api.Problem }

// Error implements error.
func (p *Problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "status %d", p.Status)
	if p.Code != "" {
		fmt.Fprintf(&b, " %s", p.Code)
	}
	if p.Detail != "" {
		fmt.Fprintf(&b, ": %s", p.Detail)
	}
	for _, e := range p.Errors {
		fmt.Fprintf(&b, " %s %s: %s", e.Pointer, e.Code, e.Detail)
	}
	if p.RequestID != "" {
		fmt.Fprintf(&b, " (request %s)", p.RequestID)
	}
	return b.String()
}

// problem decodes an error response.
func problem(response *http.Response, body []byte) *Problem {
	var document struct {
		api.Problem
		Message string `json:"message"` // API Gateway's format
	}
	if err := json.Unmarshal(body, &document); err != nil {
		document.Message = fmt.Sprintf("want a problem document, got %q", body[:min(len(body), 200)])
	}
	p := &Problem{document.Problem}
	p.Status = response.StatusCode
	if p.Code == "" {
		p.Title = http.StatusText(response.StatusCode)
		p.Detail = document.Message
		p.RequestID = response.Header.Get("X-Amzn-Requestid")
	}
	return p
}
