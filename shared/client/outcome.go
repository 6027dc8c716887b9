package client

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// OutcomeUnknown reports whether err is the error of a write that may have taken effect, or may still do so: the request was sent, and
// its response was lost or had a status of 5xx, except 503 with Retry-After. Read the user before you call again. No other error of a
// write leaves a doubt: the write took no effect and will take none.
//
// A request that got no connection was not sent, provided that the transport supports [httptrace.ClientTrace], as
// [http.Transport] does. After an error of any other transport, the outcome is unknown.
func OutcomeUnknown(err error) bool {
	_, unknown := errors.AsType[*unknownOutcome](err)
	return unknown
}

type unknownOutcome struct{ cause error }

func (e *unknownOutcome) Error() string { return "the outcome is unknown: " + e.cause.Error() }

func (e *unknownOutcome) Unwrap() error { return e.cause }

// sent records whether one of the attempts of a request may have taken effect.
type sent struct{ effective bool }

type sentKey struct{}

// write calls send, and marks its error if the outcome is unknown.
func write[T any](ctx context.Context, send func(ctx context.Context) (T, error)) (T, error) {
	s := &sent{}
	result, err := send(context.WithValue(ctx, sentKey{}, s))
	if err != nil && s.effective {
		err = &unknownOutcome{err}
	}
	return result, err
}

// sendAttempt sends one attempt of a request. An earlier one that may have taken effect remains so, whatever the status of this one.
func sendAttempt(base http.RoundTripper, request *http.Request) (*http.Response, error) {
	s, ok := request.Context().Value(sentKey{}).(*sent)
	if !ok { // a read
		return base.RoundTrip(request)
	}
	ctx := request.Context()
	if ctx.Err() != nil { // RoundTrip would not report whether it got that far
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
		s.effective = s.effective || connected.Load() || !connecting.Load()
		return nil, err
	}
	_, asked := retryAfter(response)
	if !asked && (response.StatusCode < 300 || response.StatusCode >= 500) {
		s.effective = true
	}
	return response, nil
}
