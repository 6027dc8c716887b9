// Package request reads what a client asks for from API Gateway's proxy event. What cannot be understood is an error for
// package problem to tell the client. None of these errors quotes what was sent, except the name of a content coding.
package request

import (
	"encoding/base64"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/aws/aws-lambda-go/events"

	"github.com/userrequestapi/userdata/shared/problem"
	"github.com/userrequestapi/userdata/shared/user"
)

// Request is one HTTP request.
type Request struct {
	event   *events.APIGatewayProxyRequest
	subject string
}

// New reads the event of a REST API ("Input format of a Lambda function for proxy integration").
func New(event *events.APIGatewayProxyRequest) *Request { return &Request{event: event} }

// Subject is the id of the user that the request is about, as far as [Request.UserID] or [Request.About] has told.
func (r *Request) Subject() string { return r.subject }

// About tells which user the request is about, where its address does not.
func (r *Request) About(id string) { r.subject = id }

// Method is the HTTP method.
func (r *Request) Method() string { return r.event.HTTPMethod }

// IsWrite reports whether the request changes a user.
func (r *Request) IsWrite() bool {
	return r.Method() != http.MethodGet && r.Method() != http.MethodHead
}

// Operation is the operationId of the API document, or else the method.
func (r *Request) Operation() string {
	if name := r.event.RequestContext.OperationName; name != "" {
		return name
	}
	return r.event.HTTPMethod
}

// Route is the resource as the API document names it: "/users/{userId}".
func (r *Request) Route() string { return r.event.Resource }

// ID is API Gateway's id of the request, which the client has as x-amzn-RequestId.
func (r *Request) ID() string { return r.event.RequestContext.RequestID }

// Path returns the path that the client sent, without empty segments: "/prod/users/1". It begins with the stage, or
// with the base path of a custom domain, if it has one.
func (r *Request) Path() string { return joinPath(splitPath(r.event.RequestContext.Path)) }

// usersPath returns the canonical path of the list of users, at the stage or custom domain that the client used.
// Whatever precedes the route in the request's path leads there.
func (r *Request) usersPath() string {
	segments := splitPath(r.event.RequestContext.Path)
	base := segments[:max(0, len(segments)-len(splitPath(r.event.Resource)))]
	return joinPath(append(base, "users"))
}

// splitPath returns the segments of a path. API Gateway ignores empty ones.
func splitPath(path string) []string {
	return strings.FieldsFunc(path, func(c rune) bool { return c == '/' })
}

func joinPath(segments []string) string { return "/" + strings.Join(segments, "/") }

// NamesUser tells whether the path is that of one user: /users/{userId}.
func (r *Request) NamesUser() bool {
	_, ok := r.event.PathParameters[user.IDAttribute]
	return ok
}

// NamesUserInQuery reports whether the query has a userId, even a blank one.
func (r *Request) NamesUserInQuery() bool { return len(r.query(user.IDAttribute)) > 0 }

// UserPath returns the canonical address of the user with this id, at the stage or custom domain that the client used.
// An id of another program that a URL would have to encode is in the query: clients and proxies change such paths,
// "/users/.." or "/users/a%2Fb". Only a blank id is in the path, because it is refused in the query.
func (r *Request) UserPath(id string) string {
	if user.CheckID(id) == nil || strings.TrimSpace(id) == "" {
		return r.usersPath() + "/" + url.PathEscape(id)
	}
	return r.usersPath() + "?" + url.Values{user.IDAttribute: {id}}.Encode()
}

// Caller tells callers apart, for what belongs to one of them: the authorized identity, or "" where the API is open.
func (r *Request) Caller() string {
	identity := r.event.RequestContext.Identity
	if claims, ok := r.event.RequestContext.Authorizer["claims"].(map[string]any); ok {
		if sub, ok := claims["sub"].(string); ok {
			return "sub:" + sub
		}
	}
	switch {
	case identity.UserArn != "":
		return "arn:" + withoutSession(identity.UserArn)
	case identity.APIKeyID != "":
		return "key:" + identity.APIKeyID
	}
	return ""
}

// withoutSession cuts the session's name off the ARN of an assumed role: the tasks of one program have one each.
func withoutSession(arn string) string {
	if i := strings.LastIndexByte(arn, '/'); strings.Contains(arn, ":assumed-role/") && i > strings.IndexByte(arn, '/') {
		return arn[:i]
	}
	return arn
}

// header returns the values of a header, whose name clients and gateways write in any case.
func (r *Request) header(name string) []string {
	var values []string
	for sent, v := range r.event.MultiValueHeaders {
		if strings.EqualFold(sent, name) {
			values = append(values, v...)
		}
	}
	if values != nil {
		return values
	}
	for sent, v := range r.event.Headers {
		if strings.EqualFold(sent, name) {
			values = append(values, v)
		}
	}
	return values
}

// query returns the values of a query parameter.
func (r *Request) query(name string) []string {
	if values, ok := r.event.MultiValueQueryStringParameters[name]; ok {
		return values
	}
	if value, ok := r.event.QueryStringParameters[name]; ok {
		return []string{value}
	}
	return nil
}

// The query parameters besides userId.
const (
	limitParameter  = "limit"
	cursorParameter = "cursor"
)

// CheckQuery returns an error for a query parameter whose name differs from a parameter of the API only in the case of
// its letters. Names are case-sensitive: without the error, ?userid=1 would list all users.
func (r *Request) CheckQuery() error {
	for _, name := range []string{user.IDAttribute, limitParameter, cursorParameter} {
		for sent := range r.event.QueryStringParameters {
			if sent != name && strings.EqualFold(sent, name) {
				return problem.New(problem.InvalidParameter,
					fmt.Sprintf("The query parameter is called %s, with exactly these capital and small letters.", name))
			}
		}
	}
	return nil
}

// single returns the value of a query parameter that may come once.
func (r *Request) single(name string) (value string, sent bool, err error) {
	switch values := r.query(name); len(values) {
	case 0:
		return "", false, nil
	case 1:
		return values[0], true, nil
	default:
		return "", true, problem.New(problem.InvalidParameter,
			fmt.Sprintf("The query parameter %s is given %d times; give it once.", name, len(values)))
	}
}

// UserID returns the id in the path (/users/{userId}) or in the query (?userId=), "" if there is neither. It can be any
// id that the table can have, because other programs write users, too.
func (r *Request) UserID() (string, error) {
	id, inQuery, err := r.single(user.IDAttribute)
	if err != nil {
		return "", err
	}
	if inQuery && strings.TrimSpace(id) == "" {
		return "", &user.Error{Code: user.InvalidUserID, Detail: "The query parameter userId is blank. Give an id, or leave it out."}
	}
	if encoded, inPath := r.event.PathParameters[user.IDAttribute]; inPath {
		// API Gateway hands path parameters over as they were sent.
		decoded, err := url.PathUnescape(encoded)
		if err != nil {
			return "", &user.Error{Code: user.InvalidUserID, Detail: "The userId in the path is not a valid URL encoding."}
		}
		if inQuery && decoded != id {
			return "", problem.New(problem.InvalidParameter, "The path and the query name different users; name one.")
		}
		id = decoded
	} else if !inQuery {
		return "", nil
	}
	if err := user.CheckKey(id); err != nil {
		return "", err
	}
	r.subject = id
	return id, nil
}

// Page limits ("limit", 1 to 100).
const (
	defaultLimit = 25
	maxLimit     = 100
)

// Page returns which part of the list is asked for: at most limit users after the one with the id after.
func (r *Request) Page() (limit int, after string, err error) {
	limit = defaultLimit
	text, sent, err := r.single(limitParameter)
	if err != nil {
		return 0, "", err
	}
	if sent {
		// Only the decimal form without a sign or leading zeros: 010 is 8 to some programs, and 10 to others.
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxLimit || strconv.Itoa(limit) != text {
			return 0, "", problem.New(problem.InvalidParameter,
				fmt.Sprintf("limit is a whole number from 1 to %d, without leading zeros.", maxLimit))
		}
	}
	text, sent, err = r.single(cursorParameter)
	if err != nil {
		return 0, "", err
	}
	if sent {
		if after, err = decodeCursor(text); err != nil {
			return 0, "", err
		}
	}
	return limit, after, nil
}

// NextPage returns the path and query of the page that follows after the user with this id, and its cursor.
func (r *Request) NextPage(limit int, after string) (location, cursor string) {
	cursor = encodeCursor(after)
	query := url.Values{limitParameter: {strconv.Itoa(limit)}, cursorParameter: {cursor}}
	return r.usersPath() + "?" + query.Encode(), cursor
}

// User returns the attributes in the body.
func (r *Request) User() (user.Attributes, error) {
	if err := r.checkContentEncoding(); err != nil {
		return nil, err
	}
	if err := r.checkContentType(); err != nil {
		return nil, err
	}
	body := []byte(r.event.Body)
	if r.event.IsBase64Encoded { // only where the API has binary media types
		var err error
		if body, err = base64.StdEncoding.DecodeString(r.event.Body); err != nil {
			return nil, fmt.Errorf("read the event's body: %w", err)
		}
	}
	return user.Decode(body)
}

// contentCoding is the name of a content coding (RFC 9110 §8.4.1), of a length that is fit for an error.
var contentCoding = regexp.MustCompile(`^[A-Za-z0-9!#$%&'*+.^_|~-]{1,32}$`)

// checkContentEncoding returns an error unless the body is sent without a content coding. API Gateway does not decode
// bodies.
func (r *Request) checkContentEncoding() error {
	for coding := range strings.SplitSeq(strings.Join(r.header("Content-Encoding"), ","), ",") {
		coding = strings.TrimSpace(coding)
		if coding == "" || strings.EqualFold(coding, "identity") {
			continue
		}
		name := "in Content-Encoding"
		if contentCoding.MatchString(coding) {
			name = coding
		}
		return problem.New(problem.UnsupportedContentEncoding,
			fmt.Sprintf("The content coding %s is not supported. Send the body without Content-Encoding.", name))
	}
	return nil
}

func (r *Request) checkContentType() error {
	values := r.header("Content-Type")
	if len(values) == 0 { // application/json, for API Gateway too
		return nil
	}
	mediaType, params, err := mime.ParseMediaType(strings.Join(values, ","))
	charset := params["charset"]
	if err != nil || mediaType != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return problem.New(problem.UnsupportedMediaType, "Send the user as JSON in UTF-8, with the header Content-Type: application/json.")
	}
	return nil
}

const maxIdempotencyKey = 255

// Idempotency returns the request's Idempotency-Key, bare or quoted as the IETF draft "The Idempotency-Key HTTP Header Field"
// has it, and "" without one.
func (r *Request) Idempotency() (string, error) {
	values := r.header("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	key := values[0]
	if unquoted, ok := strings.CutPrefix(key, `"`); ok {
		if key, ok = strings.CutSuffix(unquoted, `"`); !ok {
			key = "" // a quotation mark on one side alone
		}
	}
	printable := strings.IndexFunc(key, func(c rune) bool { return c < ' ' || c > '~' || c == '"' }) < 0
	if len(values) > 1 || strings.TrimSpace(key) == "" || len(key) > maxIdempotencyKey || !printable {
		return "", problem.New(problem.InvalidParameter,
			fmt.Sprintf("Idempotency-Key is one key of 1 to %d printable ASCII characters, bare or in quotation marks.", maxIdempotencyKey))
	}
	return key, nil
}
