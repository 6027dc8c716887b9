// Command get is the function that reads and lists users.
package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"example.org/service/functions/internal/users"
)

func main() { users.Start(get) }

func get(ctx context.Context, r users.Request) (users.Response, error) {
	limit, err := strconv.ParseInt(cmp.Or(r.QueryStringParameters["limit"], "25"), 10, 32)
	if err != nil || limit < 1 || limit > 100 {
		return users.Response{}, &users.Problem{
			Status: http.StatusBadRequest, Code: "InvalidParameter", Detail: "The limit is not a number from 1 to 100.",
		}
	}
	if r.ID == "" {
		return list(ctx, r, int32(limit))
	}
	u, err := r.Get(ctx, "")
	switch {
	case err != nil:
		return users.Response{}, err
	case r.Header("If-None-Match") == u.ETag():
		return r.User(http.StatusNotModified, u), nil
	}
	return r.User(http.StatusOK, u), nil
}

func list(ctx context.Context, r users.Request, limit int32) (users.Response, error) {
	page, next, err := r.Table.List(ctx, r.QueryStringParameters["cursor"], limit)
	var items []string
	for _, u := range page {
		items = append(items, u.Document)
	}
	res := users.Response{Status: http.StatusOK, Body: `{"items":[` + strings.Join(items, ",") + "]}"}
	if next != "" {
		query := url.Values{"cursor": {next}, "limit": {strconv.Itoa(int(limit))}}
		res.Headers = map[string]string{"Link": fmt.Sprintf(`</%s/users?%s>; rel="next"`, r.RequestContext.Stage, query.Encode())}
		res.Body = strings.TrimSuffix(res.Body, "}") + fmt.Sprintf(`,"next":%q}`, next)
	}
	return res, err
}
