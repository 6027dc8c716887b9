package main

import (
	"context"
	"net/http"

	"github.com/userrequestapi/userdata/shared/function"
	"github.com/userrequestapi/userdata/shared/request"
	"github.com/userrequestapi/userdata/shared/response"
	"github.com/userrequestapi/userdata/shared/user"
)

func replace(ctx context.Context, deps function.Dependencies, req *request.Request) (response.Response, error) {
	id, err := req.UserID()
	if err != nil {
		return response.Response{}, err
	}
	deps.LogUser(id)
	ifMatch, err := req.IfMatch(deps.RequireIfMatch)
	if err != nil {
		return response.Response{}, err
	}
	sent, err := req.User()
	if err != nil {
		return response.Response{}, err
	}
	if id, err = resolveID(id, sent); err != nil {
		return response.Response{}, err
	}
	deps.LogUser(id)
	u, err := deps.Users.Replace(ctx, id, sent, ifMatch)
	if err != nil {
		return response.Response{}, err
	}
	return response.User(http.StatusOK, u, req.UserPath(id)), nil
}

// resolveID returns the id in the URL or in the body. It returns an error if neither has one, or if they differ.
func resolveID(inURL string, sent user.Attributes) (string, error) {
	inBody, named := sent[user.IDAttribute]
	switch {
	case inURL == "" && !named:
		return "", request.Invalidf("Name the user: PUT /users/{userId}, or userId in the body.")
	case !named:
		return inURL, nil
	}
	id, isString := inBody.(string)
	if inURL != "" && (!isString || id != inURL) {
		return "", request.Invalidf("The URL and the body name different users. A userId cannot be changed.")
	}
	return id, user.CheckKey(id)
}
