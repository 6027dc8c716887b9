package template

import (
	"net/http"
	"strings"
)

// The gateway puts values in place of these. Others, such as the path, are left out: a client could break the JSON by them.
const (
	requestID    = "$context.requestId"
	errorMessage = "$context.error.messageString" // with its own quotes
)

// problem is a problem document (RFC 9457) that the gateway answers with.
type problem struct {
	Status int    // 0 where the gateway has several
	Title  string // "" for the status's own
	Code   string
	Detail string // errorMessage for the gateway's own message
}

// document is the mapping template of the problem.
func (p problem) document() string {
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
	}{"urn:problem-type:userrequestapi:" + p.Code, title, p.Status, p.Detail, p.Code, requestID})
	if err != nil { // texts and a number only
		panic(err)
	}
	return strings.Replace(string(encoded), `"`+errorMessage+`"`, errorMessage, 1)
}

// reasonPhrase is RFC 9110's, where net/http still has an older one.
func reasonPhrase(status int) string {
	if status == http.StatusRequestEntityTooLarge {
		return "Content Too Large"
	}
	return http.StatusText(status)
}

// problemHeaders returns the headers of each problem document that the gateway sends, as mappings.
func (a *openAPI) problemHeaders() object {
	return object{
		"Content-Type":                  documentType,
		"Cache-Control":                 literal("no-store"),
		"X-Content-Type-Options":        literal("nosniff"),
		"Access-Control-Allow-Origin":   origin(),
		"Access-Control-Expose-Headers": literal(a.exposed),
	}
}
