// Command put is the function that replaces users.
package main

import (
	"context"
	"net/http"

	"example.org/service/functions/internal/users"
)

func main() { users.Start(put) }

func put(ctx context.Context, r users.Request) (users.Response, error) {
	u, err := r.Decode()
	if err != nil {
		return users.Response{}, err
	}
	r.ID = u.ID
	previous, err := r.Get(ctx, r.Header("If-Match"))
	if err == nil {
		err = r.Table.Replace(ctx, previous, u)
	}
	return r.User(http.StatusOK, u), err
}
