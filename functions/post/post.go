package main

import (
	"context"
	"net/http"

	"github.com/userrequestapi/userdata/shared/function"
	"github.com/userrequestapi/userdata/shared/request"
	"github.com/userrequestapi/userdata/shared/response"
	"github.com/userrequestapi/userdata/shared/user"
)

func create(ctx context.Context, deps function.Dependencies, req *request.Request) (response.Response, error) {
	if err := req.CheckNoneMatch(); err != nil {
		return response.Response{}, err
	}
	if req.NamesUserInQuery() {
		return response.Response{}, request.Invalidf("Send the userId of a POST in the body, not in the query.")
	}
	key, err := req.Idempotency()
	if err != nil {
		return response.Response{}, err
	}
	sent, err := req.User()
	if err != nil {
		return response.Response{}, err
	}
	var idempotency *user.Idempotency
	if key != "" {
		idempotency = user.NewIdempotency(req.Caller(), key, sent)
	}
	if _, named := sent[user.IDAttribute]; !named {
		if sent[user.IDAttribute], err = newID(idempotency); err != nil {
			return response.Response{}, err
		}
	}
	if id, ok := sent[user.IDAttribute].(string); ok {
		deps.LogUser(id)
	}
	u, replayed, err := deps.Users.Create(ctx, sent, idempotency)
	if err != nil {
		return response.Response{}, err
	}
	path := req.UserPath(u.ID())
	r := response.User(http.StatusCreated, u, path)
	r.Headers["Location"] = path
	if replayed {
		r.Headers["Idempotent-Replayed"] = "true"
	}
	return r, nil
}

func newID(idempotency *user.Idempotency) (string, error) {
	if idempotency != nil {
		return idempotency.UserID(), nil
	}
	return user.NewID()
}
