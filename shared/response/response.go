// Package response creates the responses of the functions to API Gateway's proxy integration.
package response

import (
	"maps"
	"net/http"
	"strconv"

	"github.com/aws/aws-lambda-go/events"

	"github.com/userrequestapi/userdata/shared/problem"
	"github.com/userrequestapi/userdata/shared/request"
	"github.com/userrequestapi/userdata/shared/user"
)

// Response is the response of a function ("Output format of a Lambda function for proxy integration").
type Response = events.APIGatewayProxyResponse

// The values of Cache-Control. A client may store a user that was read, but must revalidate it before each use.
const (
	revalidate = "private, no-cache"
	noStore    = "no-store"
)

const mediaType = "application/json"

// JSON returns a response with a JSON body.
func JSON(status int, body []byte) Response { return newResponse(status, body, nil) }

// User returns a response with a user, its ETag, and its canonical path.
func User(status int, u user.User, path string) Response {
	return newResponse(status, u.Attributes.AppendJSON(nil),
		map[string]string{"ETag": quote(u.ETag), "Content-Location": path})
}

// Read returns the response to a read of a user, which a client may store and revalidate with If-None-Match.
func Read(u user.User, path string) Response {
	r := User(http.StatusOK, u, path)
	r.Headers["Cache-Control"] = revalidate
	return r
}

// NotModified returns a 304 response, with the headers of RFC 9110 §15.4.5.
func NotModified(u user.User, path string) Response {
	return newResponse(http.StatusNotModified, nil,
		map[string]string{"ETag": quote(u.ETag), "Content-Location": path, "Cache-Control": revalidate})
}

// NoContent returns a 204 response.
func NoContent() Response { return newResponse(http.StatusNoContent, nil, nil) }

// Problem returns a response with a problem document.
func Problem(p *problem.Problem) Response {
	headers := map[string]string{"Content-Type": problem.MediaType}
	if p.RetryAfter > 0 {
		headers["Retry-After"] = strconv.Itoa(p.RetryAfter)
	}
	// The accepted media type or content coding (RFC 9110 §15.5.16).
	if p.Code == request.UnsupportedMediaType {
		headers["Accept"] = mediaType
	}
	if p.Code == request.UnsupportedContentEncoding {
		headers["Accept-Encoding"] = "identity"
	}
	return newResponse(p.Status, p.JSON(), headers)
}

func newResponse(status int, body []byte, headers map[string]string) Response {
	h := map[string]string{
		"Cache-Control":          noStore,
		"X-Content-Type-Options": "nosniff",
	}
	if body != nil {
		h["Content-Type"] = mediaType
	}
	maps.Copy(h, headers)
	return Response{StatusCode: status, Headers: h, Body: string(body)}
}

func quote(tag user.ETag) string { return `"` + string(tag) + `"` }
