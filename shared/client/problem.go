package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/userrequestapi/userdata/shared/client/api"
)

// Problem is the error of a request that was refused or failed, as the problem document (RFC 9457) in the answer has it. Status is always
// there. Code is empty where API Gateway itself has answered in its own form, of which Detail has the text.
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

// problem returns what an answer tells of why there is no other.
func problem(response *http.Response, body []byte) *Problem {
	var answer struct {
		api.Problem
		Message string `json:"message"` // API Gateway's own
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		answer.Message = fmt.Sprintf("the answer is no problem document but %q", excerpt(body))
	}
	p := &Problem{answer.Problem}
	p.Status = response.StatusCode
	if p.Code == "" {
		p.Title = http.StatusText(response.StatusCode)
		p.Detail = answer.Message
		p.RequestID = response.Header.Get("X-Amzn-Requestid")
	}
	return p
}

func excerpt(body []byte) []byte { return body[:min(len(body), 200)] }
