// Command delete is the function that deletes users.
package main

import (
	"context"
	"net/http"

	"example.org/service/functions/internal/users"
)

func main() { users.Start(remove) }

func remove(ctx context.Context, r users.Request) (users.Response, error) {
	u, err := r.Get(ctx, r.Header("If-Match"))
	if err == nil {
		err = r.Table.Delete(ctx, u)
	}
	return users.Response{Status: http.StatusNoContent}, err
}
