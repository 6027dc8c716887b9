package client

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// OutcomeUnknown reports whether err is the error of a write that may have taken effect, or may still do so: the
// request was sent, and its response was lost or had a 5xx status code, except 503 with Retry-After. Read the user
// before you call again. After any other error, the write took no effect and will take none.
//
// If no connection was established, the request was not sent. Only a transport that supports [httptrace.ClientTrace],
// such as [http.Transport], reports this. After an error of any other transport, the outcome is unknown.
func OutcomeUnknown(err error) bool {
	_, unknown := errors.AsType[*unknownOutcome](err)
	return unknown
}

type unknownOutcome struct{ cause error }

func (e *unknownOutcome) Error() string { return "the outcome is unknown: " + e.cause.Error() }

func (e *unknownOutcome) Unwrap() error { return e.cause }

// doubt records whether an attempt of a write may have taken effect.
type doubt struct{ marked bool }

type doubtKey struct{}

// write calls send, and wraps its error if the outcome is unknown.
func write[T any](ctx context.Context, send func(ctx context.Context) (T, error)) (T, error) {
	d := &doubt{}
	result, err := send(context.WithValue(ctx, doubtKey{}, d))
	if err != nil && d.marked {
		err = &unknownOutcome{err}
	}
	return result, err
}

// sendAttempt sends one attempt of a request, and marks the write if the attempt may have taken effect.
func sendAttempt(base http.RoundTripper, request *http.Request) (*http.Response, error) {
	d, ok := request.Context().Value(doubtKey{}).(*doubt)
	if !ok { // a read
		return base.RoundTrip(request)
	}
	ctx := request.Context()
	if ctx.Err() != nil { // RoundTrip would not report whether it sent the request
		if request.Body != nil {
			_ = request.Body.Close()
		}
		return nil, context.Cause(ctx)
	}
	var connecting, connected atomic.Bool
	trace := &httptrace.ClientTrace{
		GetConn: func(string) { connecting.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	}
	response, err := base.RoundTrip(request.WithContext(httptrace.WithClientTrace(ctx, trace)))
	if err != nil {
		// A transport that does not support traces may have sent the request.
		d.marked = d.marked || connected.Load() || !connecting.Load()
		return nil, err
	}
	_, asked := retryAfter(response)
	if !asked && (response.StatusCode < 300 || response.StatusCode >= 500) {
		d.marked = true
	}
	return response, nil
}
