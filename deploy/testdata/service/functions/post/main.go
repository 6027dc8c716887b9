// Command post is the function that creates users.
package main

import (
	"context"
	"net/http"

	"example.org/service/functions/internal/users"
)

func main() { users.Start(post) }

func post(ctx context.Context, r users.Request) (users.Response, error) {
	u, err := r.Decode()
	if err == nil {
		err = r.Table.Create(ctx, u)
	}
	return r.User(http.StatusCreated, u), err
}
