package main

import (
	"context"
	"net/http"

	"github.com/userrequestapi/userdata/shared/function"
	"github.com/userrequestapi/userdata/shared/problem"
	"github.com/userrequestapi/userdata/shared/request"
	"github.com/userrequestapi/userdata/shared/response"
	"github.com/userrequestapi/userdata/shared/user"
)

func replace(ctx context.Context, api function.API, req *request.Request) (response.Response, error) {
	id, err := req.UserID()
	if err != nil {
		return response.Response{}, err
	}
	ifMatch, err := req.IfMatch(api.RequireIfMatch)
	if err != nil {
		return response.Response{}, err
	}
	sent, err := req.User()
	if err != nil {
		return response.Response{}, err
	}
	if id, err = whichUser(id, sent); err != nil {
		return response.Response{}, err
	}
	req.About(id)
	u, err := api.Users.Replace(ctx, id, sent, ifMatch)
	if err != nil {
		return response.Response{}, err
	}
	return response.User(http.StatusOK, u, req.UserPath(id)), nil
}

// whichUser returns the id that the address and the body agree on; one of them may be silent.
func whichUser(inAddress string, sent user.Attributes) (string, error) {
	inBody, named := sent[user.IDAttribute]
	switch {
	case inAddress == "" && !named:
		return "", problem.New(problem.InvalidParameter, "Say which user: PUT /users/{userId}, or userId in the body.")
	case !named:
		return inAddress, nil
	}
	id, isString := inBody.(string)
	if inAddress != "" && (!isString || id != inAddress) {
		return "", problem.New(problem.InvalidParameter, "The address and the body name different users. A userId cannot be changed.")
	}
	return id, user.CheckKey(id)
}
