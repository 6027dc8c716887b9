// Package request parses the proxy event of API Gateway. Every error for the caller of the API is a [*user.Error]. Its
// texts contain no values of the request, except the name of a content coding.
package request

import (
	"encoding/base64"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/go-json-experiment/json"

	"github.com/userrequestapi/userdata/shared/internal/ascii"
	"github.com/userrequestapi/userdata/shared/user"
)

// The codes of errors about a parameter or header. Package user has those about the body and the id.
const (
	InvalidParameter           user.Code = "InvalidParameter"           // a parameter or header is malformed
	UnsupportedMediaType       user.Code = "UnsupportedMediaType"       // the body is not JSON
	UnsupportedContentEncoding user.Code = "UnsupportedContentEncoding" // the body is compressed
	PreconditionRequired       user.Code = "PreconditionRequired"       // the stage requires If-Match
)

// Invalidf returns an error with the code [InvalidParameter] and a formatted detail, which the caller of the API reads.
func Invalidf(format string, args ...any) *user.Error {
	return &user.Error{Code: InvalidParameter, Detail: fmt.Sprintf(format, args...)}
}

// Request is one HTTP request.
type Request struct {
	event *events.APIGatewayProxyRequest
}

// New returns the request of a REST API's event ("Input format of a Lambda function for proxy integration").
func New(event *events.APIGatewayProxyRequest) *Request { return &Request{event: event} }

// Method returns the HTTP method.
func (r *Request) Method() string { return r.event.HTTPMethod }

// IsWrite reports whether the request changes a user.
func (r *Request) IsWrite() bool {
	return r.Method() != http.MethodGet && r.Method() != http.MethodHead
}

// Operation returns the operationId of the API document, or the method if there is none.
func (r *Request) Operation() string {
	if name := r.event.RequestContext.OperationName; name != "" {
		return name
	}
	return r.event.HTTPMethod
}

// Route returns the resource as in the API document: "/users/{userId}".
func (r *Request) Route() string { return r.event.Resource }

// ID returns API Gateway's id of the request, which the response has in x-amzn-RequestId.
func (r *Request) ID() string { return r.event.RequestContext.RequestID }

// Path returns the path of the request without empty segments: "/prod/users/1". It begins with the stage, or with the
// base path of a custom domain.
func (r *Request) Path() string { return joinPath(splitPath(r.event.RequestContext.Path)) }

// usersPath returns the canonical path of the list of users: what precedes the route in the request's path, and
// /users.
func (r *Request) usersPath() string {
	segments := splitPath(r.event.RequestContext.Path)
	base := segments[:max(0, len(segments)-len(splitPath(r.event.Resource)))]
	return joinPath(append(base, "users"))
}

// splitPath returns the segments of a path without empty ones, which API Gateway ignores.
func splitPath(path string) []string {
	return strings.FieldsFunc(path, func(c rune) bool { return c == '/' })
}

func joinPath(segments []string) string { return "/" + strings.Join(segments, "/") }

// NamesUser reports whether the route is that of one user: /users/{userId}.
func (r *Request) NamesUser() bool {
	_, ok := r.event.PathParameters[user.IDAttribute]
	return ok
}

// NamesUserInQuery reports whether the query has a userId, which may be blank.
func (r *Request) NamesUserInQuery() bool { return len(r.query(user.IDAttribute)) > 0 }

// UserPath returns the canonical path of the user with this id, at the stage or custom domain of the request. An id
// that needs percent-encoding goes into the query, because clients and proxies rewrite paths such as "/users/.." or
// "/users/a%2Fb". A blank id goes into the path, because it is not valid in the query.
func (r *Request) UserPath(id string) string {
	if user.CheckID(id) == nil || strings.TrimSpace(id) == "" {
		return r.usersPath() + "/" + url.PathEscape(id)
	}
	return r.usersPath() + "?" + url.Values{user.IDAttribute: {id}}.Encode()
}

// Caller returns the authorized identity of the caller, or "" if the API has no authorization.
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

// withoutSession returns arn without the session name of an assumed role: the sessions of a role are one caller.
func withoutSession(arn string) string {
	if i := strings.LastIndexByte(arn, '/'); strings.Contains(arn, ":assumed-role/") && i > strings.IndexByte(arn, '/') {
		return arn[:i]
	}
	return arn
}

// header returns the values of a header. Names are case-insensitive (RFC 9110 §5.1).
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

func (r *Request) query(name string) []string {
	if values, ok := r.event.MultiValueQueryStringParameters[name]; ok {
		return values
	}
	if value, ok := r.event.QueryStringParameters[name]; ok {
		return []string{value}
	}
	return nil
}

// The query parameters in addition to userId.
const (
	limitParameter  = "limit"
	cursorParameter = "cursor"
)

// CheckQuery returns an error for a query parameter whose name differs from a parameter of the API only in case.
// Names are case-sensitive: without the error, ?userid=1 would list all users.
func (r *Request) CheckQuery() error {
	for _, name := range []string{user.IDAttribute, limitParameter, cursorParameter} {
		for sent := range r.event.QueryStringParameters {
			if sent != name && strings.EqualFold(sent, name) {
				return Invalidf("The query parameter is named %s, and names are case-sensitive.", name)
			}
		}
	}
	return nil
}

// QueryValue returns the value of a query parameter, or an error if it occurs more than once.
func (r *Request) QueryValue(name string) (value string, sent bool, err error) {
	switch values := r.query(name); len(values) {
	case 0:
		return "", false, nil
	case 1:
		return values[0], true, nil
	default:
		return "", true, Invalidf("The query parameter %s is sent %d times; send it once.", name, len(values))
	}
}

// UserID returns the id in the path (/users/{userId}) or in the query (?userId=), or "" if there is neither. It
// accepts any id that is a valid key of the table, because other programs also write users.
func (r *Request) UserID() (string, error) {
	id, inQuery, err := r.QueryValue(user.IDAttribute)
	if err != nil {
		return "", err
	}
	if inQuery && strings.TrimSpace(id) == "" {
		return "", &user.Error{
			Code: user.InvalidUserID, Detail: "The query parameter userId is blank. Send an id, or omit the parameter.",
		}
	}
	if encoded, inPath := r.event.PathParameters[user.IDAttribute]; inPath {
		// API Gateway does not decode path parameters.
		decoded, err := url.PathUnescape(encoded)
		if err != nil {
			return "", &user.Error{
				Code: user.InvalidUserID, Detail: "The percent-encoding of the userId in the path is not valid.",
			}
		}
		if inQuery && decoded != id {
			return "", Invalidf("The path and the query name different users; name one.")
		}
		id = decoded
	} else if !inQuery {
		return "", nil
	}
	if err := user.CheckKey(id); err != nil {
		return "", err
	}
	return id, nil
}

// PathParameter returns the value of a path parameter other than that of [Request.UserID], such as orderId of the route
// /users/{userId}/orders/{orderId}. Its values have the characters of the ids of new users.
func (r *Request) PathParameter(name string) (string, error) {
	value, err := url.PathUnescape(r.event.PathParameters[name])
	if err != nil || user.CheckID(value) != nil {
		return "", Invalidf(`%s has 1 to 128 of the characters A-Z a-z 0-9 . _ ~ - (and is not "." or "..").`, name)
	}
	return value, nil
}

// The limits of the query parameter limit.
const (
	defaultLimit = 25
	maxLimit     = 100
)

// Page returns the requested page of the list: at most limit users, beginning after the user with the id after.
func (r *Request) Page() (limit int, after string, err error) {
	limit = defaultLimit
	value, sent, err := r.QueryValue(limitParameter)
	if err != nil {
		return 0, "", err
	}
	if sent {
		// A sign or leading zeros are errors: some programs read 010 as 8.
		if limit, err = strconv.Atoi(value); err != nil || limit < 1 || limit > maxLimit || strconv.Itoa(limit) != value {
			return 0, "", Invalidf("limit is a whole number from 1 to %d, without leading zeros.", maxLimit)
		}
	}
	value, sent, err = r.QueryValue(cursorParameter)
	if err != nil {
		return 0, "", err
	}
	if sent {
		if after, err = decodeCursor(value); err != nil {
			return 0, "", err
		}
	}
	return limit, after, nil
}

// NextPage returns the path and query of the page that begins after the user with the id after, and its cursor. The
// query has the values of the request for the parameters in filters.
func (r *Request) NextPage(limit int, after string, filters ...string) (location, cursor string) {
	cursor = encodeCursor(after)
	query := url.Values{limitParameter: {strconv.Itoa(limit)}, cursorParameter: {cursor}}
	for _, name := range filters {
		if values := r.query(name); len(values) > 0 {
			query[name] = values
		}
	}
	return r.usersPath() + "?" + query.Encode(), cursor
}

// Decode decodes the JSON object in the body into v, a pointer to a struct. A member that the struct does not have is
// an error.
func (r *Request) Decode(v any) error {
	body, err := r.json()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, v, json.RejectUnknownMembers(true)); err != nil {
		return InvalidBody("The body is not a JSON object with the members, and values, of the API document.")
	}
	return nil
}

// InvalidBody returns an error with the code [user.InvalidBody] and a detail, which the caller of the API reads.
func InvalidBody(detail string) *user.Error {
	return &user.Error{Code: user.InvalidBody, Detail: detail}
}

// User returns the attributes in the body.
func (r *Request) User() (user.Attributes, error) {
	body, err := r.json()
	if err != nil {
		return nil, err
	}
	return user.Decode(body)
}

// json returns the body, which is declared to be JSON.
func (r *Request) json() ([]byte, error) {
	if err := r.checkContentEncoding(); err != nil {
		return nil, err
	}
	if err := r.checkContentType(); err != nil {
		return nil, err
	}
	body := []byte(r.event.Body)
	if r.event.IsBase64Encoded { // only if the API has binary media types
		var err error
		if body, err = base64.StdEncoding.DecodeString(r.event.Body); err != nil {
			return nil, fmt.Errorf("decode the body of the event: %w", err)
		}
	}
	return body, nil
}

// maxContentCoding is the length of the longest name of a content coding that an error text contains.
const maxContentCoding = 32

// checkContentEncoding returns an error if the body has a content coding, which API Gateway does not decode.
func (r *Request) checkContentEncoding() error {
	for coding := range strings.SplitSeq(strings.Join(r.header("Content-Encoding"), ","), ",") {
		coding = strings.TrimSpace(coding)
		if coding == "" || strings.EqualFold(coding, "identity") {
			continue
		}
		name := "in Content-Encoding"
		if len(coding) <= maxContentCoding && ascii.IsAlphanumeric(coding, "!#$%&'*+.^_|~-") { // RFC 9110 §8.4.1
			name = coding
		}
		return &user.Error{
			Code:   UnsupportedContentEncoding,
			Detail: "The content coding " + name + " is not supported. Send the body without Content-Encoding.",
		}
	}
	return nil
}

func (r *Request) checkContentType() error {
	values := r.header("Content-Type")
	if len(values) == 0 { // API Gateway's default is application/json
		return nil
	}
	mediaType, params, err := mime.ParseMediaType(strings.Join(values, ","))
	charset := params["charset"]
	if err != nil || mediaType != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return &user.Error{
			Code:   UnsupportedMediaType,
			Detail: "Send the user as JSON in UTF-8, with the header Content-Type: application/json.",
		}
	}
	return nil
}

const maxIdempotencyKey = 255

// Idempotency returns the idempotency key of the request, or "" if there is none. The key may be bare or a quoted
// string, as in the IETF draft "The Idempotency-Key HTTP Header Field".
func (r *Request) Idempotency() (string, error) {
	values := r.header("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	key := values[0]
	if unquoted, ok := strings.CutPrefix(key, `"`); ok {
		if key, ok = strings.CutSuffix(unquoted, `"`); !ok {
			key = "" // no closing quotation mark
		}
	}
	printable := strings.IndexFunc(key, func(c rune) bool { return c < ' ' || c > '~' || c == '"' }) < 0
	if len(values) > 1 || strings.TrimSpace(key) == "" || len(key) > maxIdempotencyKey || !printable {
		return "", Invalidf("Idempotency-Key is one key of 1 to %d printable ASCII characters, bare or in quotation marks.",
			maxIdempotencyKey)
	}
	return key, nil
}
