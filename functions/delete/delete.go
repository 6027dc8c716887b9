package main

import (
	"context"

	"github.com/userrequestapi/userdata/shared/function"
	"github.com/userrequestapi/userdata/shared/request"
	"github.com/userrequestapi/userdata/shared/response"
)

func remove(ctx context.Context, deps function.Dependencies, req *request.Request) (response.Response, error) {
	id, err := req.UserID()
	if err != nil {
		return response.Response{}, err
	}
	deps.LogUser(id)
	if id == "" {
		return response.Response{}, request.Invalidf("Name the user: DELETE /users/{userId}, or ?userId=.")
	}
	ifMatch, err := req.IfMatch(deps.RequireIfMatch)
	if err != nil {
		return response.Response{}, err
	}
	if err := deps.Users.Delete(ctx, id, ifMatch); err != nil {
		return response.Response{}, err
	}
	return response.NoContent(), nil
}
