package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/userrequestapi/userdata/shared/function"
	"github.com/userrequestapi/userdata/shared/request"
	"github.com/userrequestapi/userdata/shared/response"
	"github.com/userrequestapi/userdata/shared/user"
)

func retrieve(ctx context.Context, deps function.Dependencies, req *request.Request) (response.Response, error) {
	id, err := req.UserID()
	if err != nil {
		return response.Response{}, err
	}
	deps.LogUser(id)
	if !req.NamesUser() {
		// If the query names a user, limit and cursor have no effect, but invalid ones are still an error.
		limit, after, err := req.Page()
		switch {
		case err != nil:
			return response.Response{}, err
		case id == "":
			return list(ctx, deps, req, limit, after)
		}
	}
	u, err := deps.Users.Get(ctx, id)
	if err != nil {
		return response.Response{}, err
	}
	notModified, err := req.NotModified(u.ETag)
	switch {
	case err != nil:
		return response.Response{}, err
	case notModified:
		return response.NotModified(u, req.UserPath(id)), nil
	}
	return response.Read(u, req.UserPath(id)), nil
}

// maxPage limits the size of a page, in bytes. Lambda limits a response to 6 MB. There, the body is a JSON string, in
// which a byte of the page takes up to two bytes.
const maxPage = 2_500_000

func list(
	ctx context.Context, deps function.Dependencies, req *request.Request, limit int, after string,
) (response.Response, error) {
	if _, err := req.NotModified(""); err != nil { // a list has no ETag, but a malformed If-None-Match is an error
		return response.Response{}, err
	}
	page, err := deps.Users.List(ctx, after, limit)
	if err != nil {
		return response.Response{}, err
	}
	body, link := render(page, func(last string) (location, cursor string) { return req.NextPage(limit, last) })
	r := response.JSON(http.StatusOK, body)
	if link != "" {
		r.Headers["Link"] = fmt.Sprintf(`<%s>; rel="next"`, link) // RFC 8288
	}
	return r, nil
}

// render returns the page as JSON, truncated to maxPage bytes but to no less than one user, and the link to the next
// page, if any.
func render(page user.Page, next func(last string) (location, cursor string)) (body []byte, link string) {
	more, last := page.More, page.Next
	body = append(body, `{"items":[`...)
	for i, u := range page.Users {
		before := len(body)
		if i > 0 {
			body = append(body, ',')
		}
		body = u.Attributes.AppendJSON(body)
		if i > 0 && len(body) > maxPage {
			body, more, last = body[:before], true, page.Users[i-1].ID()
			break
		}
	}
	body = append(body, ']')
	if more {
		var cursor string
		link, cursor = next(last)
		body = append(body, `,"next":`...)
		body, _ = jsontext.AppendQuote(body, cursor) // fails only for invalid UTF-8
	}
	return append(body, '}'), link
}
