package template

import (
	"net/http"
	"strings"

	"github.com/userrequestapi/userdata/deploy/contract"
)

// Variables that API Gateway replaces. Others, such as the path, are not used: a client could inject JSON through them.
const (
	requestID    = "$context.requestId"
	errorMessage = "$context.error.messageString" // with its own quotes
)

// problemTemplate is the template of a problem document (RFC 9457) of API Gateway.
type problemTemplate struct {
	Status int    // 0 if responses have several status codes
	Title  string // "" for the reason phrase of the status code
	Code   string
	Detail string // errorMessage for API Gateway's message
}

// problemDocument returns the mapping template of the problem.
func (a *openAPI) problemDocument(p problemTemplate) string {
	title := p.Title
	if title == "" {
		title = reasonPhrase(p.Status)
	}
	encoded, err := encodeJSON(struct {
		Type      string `json:"type"`
		Title     string `json:"title"`
		Status    int    `json:"status,omitempty"`
		Detail    string `json:"detail"`
		Code      string `json:"code"`
		RequestID string `json:"requestId"`
	}{a.contract.ProblemType(p.Code), title, p.Status, p.Detail, p.Code, requestID})
	if err != nil { // impossible: strings and a number
		panic(err)
	}
	return strings.Replace(string(encoded), `"`+errorMessage+`"`, errorMessage, 1)
}

// reasonPhrase returns the reason phrase of RFC 9110; net/http has an older one for 413.
func reasonPhrase(status int) string {
	if status == http.StatusRequestEntityTooLarge {
		return "Content Too Large"
	}
	return http.StatusText(status)
}

// problemHeaders returns the parameter mappings for the headers of API Gateway's problem documents.
func (a *openAPI) problemHeaders() object { return a.documentHeaders(contract.ProblemMediaType) }
