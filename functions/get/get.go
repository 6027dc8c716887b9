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

func retrieve(ctx context.Context, api function.API, req *request.Request) (response.Response, error) {
	id, err := req.UserID()
	if err != nil {
		return response.Response{}, err
	}
	if !req.NamesUser() {
		// Where the query names a user, the list's parameters have no effect; but what is wrong with them is said.
		limit, after, err := req.Page()
		switch {
		case err != nil:
			return response.Response{}, err
		case id == "":
			return list(ctx, api, req, limit, after)
		}
	}
	u, err := api.Users.Get(ctx, id)
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

// maxPage bounds the bytes of a page. Lambda's limit for an answer is 6 MB, in which the body is a JSON string: every
// character of it takes up to two bytes there.
const maxPage = 2_500_000

func list(ctx context.Context, api function.API, req *request.Request, limit int, after string) (response.Response, error) {
	if _, err := req.NotModified(""); err != nil { // a list has no ETag, but a client should hear of a condition that is none
		return response.Response{}, err
	}
	page, err := api.Users.List(ctx, after, limit)
	if err != nil {
		return response.Response{}, err
	}
	body, link := write(page, func(last string) (location, cursor string) { return req.NextPage(limit, last) })
	r := response.JSON(http.StatusOK, body)
	if link != "" {
		r.Headers["Link"] = fmt.Sprintf(`<%s>; rel="next"`, link) // RFC 8288
	}
	return r, nil
}

// write returns the page as JSON, cut off after the last user that it has room for, and the location of the next, if any.
func write(page user.Page, next func(last string) (location, cursor string)) (body []byte, link string) {
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
		body, _ = jsontext.AppendQuote(body, cursor) // no error: it is ASCII
	}
	return append(body, '}'), link
}
