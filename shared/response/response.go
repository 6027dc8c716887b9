// Package response makes the answers of the functions in the form that API Gateway's proxy integration takes.
package response

import (
	"maps"
	"net/http"
	"strconv"

	"github.com/aws/aws-lambda-go/events"

	"github.com/userrequestapi/userdata/shared/problem"
	"github.com/userrequestapi/userdata/shared/user"
)

// Response is what a function answers ("Output format of a Lambda function for proxy integration").
type Response = events.APIGatewayProxyResponse

// The Cache-Control of answers: one with an ETag may be kept and must be asked about; everything else is never kept.
const (
	revalidate = "private, no-cache"
	noStore    = "no-store"
)

const mediaType = "application/json"

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

// JSON answers with a JSON text.
func JSON(status int, body []byte) Response { return newResponse(status, body, nil) }

// User answers with a user, its ETag, and its canonical path.
func User(status int, u user.User, path string) Response {
	return newResponse(status, u.Attributes.AppendJSON(nil), map[string]string{"ETag": quote(u.ETag), "Content-Location": path})
}

// Read answers a read of a user, which the client may keep and ask about with If-None-Match.
func Read(u user.User, path string) Response {
	r := User(http.StatusOK, u, path)
	r.Headers["Cache-Control"] = revalidate
	return r
}

// NotModified answers a read of a user that the client has already (RFC 9110 §15.4.5 says which headers it has).
func NotModified(u user.User, path string) Response {
	return newResponse(http.StatusNotModified, nil,
		map[string]string{"ETag": quote(u.ETag), "Content-Location": path, "Cache-Control": revalidate})
}

// NoContent answers that it is done, and nothing else.
func NoContent() Response { return newResponse(http.StatusNoContent, nil, nil) }

// Problem answers with a problem document.
func Problem(p *problem.Problem) Response {
	headers := map[string]string{"Content-Type": problem.MediaType}
	if p.RetryAfter > 0 {
		headers["Retry-After"] = strconv.Itoa(p.RetryAfter)
	}
	// RFC 9110 §15.5.16: what the service would have accepted.
	if p.Code == problem.UnsupportedMediaType {
		headers["Accept"] = mediaType
	}
	if p.Code == problem.UnsupportedContentEncoding {
		headers["Accept-Encoding"] = "identity"
	}
	return newResponse(p.Status, p.JSON(), headers)
}

func quote(tag user.ETag) string { return `"` + string(tag) + `"` }
