// Package load sends the load mix of AWS's serverless samples to the local stack or to a deployed stage, and reports
// latencies, status codes, throttles and cold starts. The requests follow from the API document.
package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
	"golang.org/x/sync/errgroup"

	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/template/caller"
)

// Target is the stage and how to call it.
type Target struct {
	URL       string             // the invoke URL, without a trailing slash
	Document  *contract.Document // the API document of the stage
	Caller    caller.Caller
	Transport *http.Transport // sends the requests; nil means one with the defaults of net/http
}

// Options configure the load.
type Options struct {
	Rate     int           // requests per second
	Duration time.Duration // of the load, without the clean-up
	// Progress is called once with a function that returns the lines that describe the current state. The returned
	// function is called at the end of the load. nil shows nothing.
	Progress func(lines func() []string) (stop func())
	// CleaningUp, if not nil, is called if deleting the items takes longer than a moment.
	CleaningUp func(items int)
}

const (
	// More requests in flight need more file descriptors than a process has by default.
	maxInFlight = 500
	// How long requests in flight may take after an interruption: an aborted POST could take effect after the clean-up.
	interruptGrace = 5 * time.Second
	cleanUpTimeout = time.Minute
	cleanUpPause   = 500 * time.Millisecond // before a retry
	cleanUpWorkers = 8
	cleanUpMoment  = 2 * time.Second // until [Options.CleaningUp]
	// Bodies of problem documents and single items are much smaller.
	maxBody = 1 << 20
)

// Run sends the load and deletes what it has created, even if ctx ends. If ctx ends, the report covers the requests up
// to then, and err is the cause. err also says which items could not be deleted.
func Run(ctx context.Context, target Target, options Options) (*Report, error) {
	if err := target.Caller.Check(); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	m, err := newMix(target.URL, target.Document)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	transport := target.Transport
	if transport == nil {
		transport = http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // documented
	}
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, maxInFlight
	defer transport.CloseIdleConnections()
	inFlight, abort := context.WithCancelCause(context.WithoutCancel(ctx))
	defer abort(nil)
	authorized := &authorizing{ctx: inFlight, caller: target.Caller, next: transport}

	s := newStatistics(options)
	err = attack(ctx, m, authorized, s, options, abort)
	report := s.report(target, m)
	failed := cleanUp(context.WithoutCancel(ctx), m, authorized, options.CleaningUp)
	report.CleanedUp = failed == nil
	return report, errors.Join(err, failed)
}

// attack sends the load. abort ends the requests in flight.
func attack(ctx context.Context, m *mix, transport http.RoundTripper, s *statistics, options Options,
	abort context.CancelCauseFunc,
) error {
	attacker := vegeta.NewAttacker(
		vegeta.MaxBody(maxBody), vegeta.MaxWorkers(maxInFlight),
		vegeta.Client(&http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}),
	)
	stop := context.AfterFunc(ctx, func() {
		attacker.Stop()
		time.AfterFunc(interruptGrace, func() { abort(context.Cause(ctx)) })
	})
	defer stop()
	if options.Progress != nil {
		defer options.Progress(s.lines)()
	}
	var failed error
	pace := vegeta.ConstantPacer{Freq: options.Rate, Per: time.Second}
	for result := range attacker.Attack(m.target, pace, options.Duration, "") {
		c, err := m.done(result)
		if err != nil {
			failed = err
			continue
		}
		s.add(c, result)
	}
	s.end()
	if ctx.Err() != nil {
		return fmt.Errorf("load: %w", context.Cause(ctx))
	}
	return failed
}

// authorizing sends requests with authorization, in a context and with a timeout of its own.
type authorizing struct {
	ctx    context.Context //nolint:containedctx // vegeta has no context for requests
	caller caller.Caller
	next   http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (a *authorizing) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(a.ctx, caller.Timeout)
	r = r.Clone(ctx)
	r.Header.Del("X-Vegeta-Seq")
	if err := a.caller.Authorize(r); err != nil {
		cancel()
		return nil, err
	}
	response, err := a.next.RoundTrip(r)
	if err != nil {
		cancel()
		return nil, err
	}
	response.Body = body{response.Body, cancel}
	return response, nil
}

// body is the body of a response. Close releases its timeout.
type body struct {
	io.ReadCloser

	cancel context.CancelFunc
}

// Close implements [io.Closer].
func (b body) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// cleanUp deletes the items that may exist. It retries for a while, because the stage may be throttling.
func cleanUp(ctx context.Context, m *mix, transport *authorizing, notify func(items int)) error {
	ctx, cancel := context.WithTimeout(ctx, cleanUpTimeout)
	defer cancel()
	client := &http.Client{Transport: &authorizing{ctx: ctx, caller: transport.caller, next: transport.next}}
	items, lost := m.left()
	if notify != nil {
		defer time.AfterFunc(cleanUpMoment, func() { notify(len(items)) }).Stop()
	}
	var (
		group errgroup.Group
		mu    sync.Mutex
		paths []string // not deleted
		cause error    // of the first one: later ones can fail only because the time is up
	)
	group.SetLimit(cleanUpWorkers)
	for _, i := range items {
		group.Go(func() error {
			err := remove(ctx, client, m.url, i)
			if err == nil {
				m.forget(i)
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			if paths = append(paths, i.path()); cause == nil {
				cause = err
			}
			return nil
		})
	}
	_ = group.Wait()
	var errs []error
	if len(paths) > 0 {
		slices.Sort(paths)
		const shown = 10
		more := ""
		if n := len(paths) - shown; n > 0 {
			more, paths = fmt.Sprintf(" and %d more with the same prefix", n), paths[:shown]
		}
		errs = append(errs, fmt.Errorf("load: clean up: %w; delete the items yourself: %s%s",
			cause, strings.Join(paths, ", "), more))
	}
	if lost > 0 {
		errs = append(errs, fmt.Errorf("load: clean up: %d POST had no usable response, and may have created items with "+
			"unknown ids: look for items with the purpose %q", lost, purpose))
	}
	return errors.Join(errs...)
}

// remove deletes an item. It is no error if there is none.
func remove(ctx context.Context, client *http.Client, url string, i *item) error {
	c := i.remove()
	for {
		req, err := http.NewRequestWithContext(ctx, c.route.Method, url+c.path, http.NoBody)
		if err != nil {
			return err
		}
		maps.Copy(req.Header, c.header)
		response, err := client.Do(req)
		if err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			switch status := response.StatusCode; {
			case status < http.StatusMultipleChoices, status == http.StatusNotFound:
				return nil
			case status < http.StatusInternalServerError && status != http.StatusTooManyRequests:
				return fmt.Errorf("%s: status %s", c.operation(), response.Status)
			default:
				err = fmt.Errorf("%s: status %s", c.operation(), response.Status)
			}
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(cleanUpPause):
		}
	}
}

// requests returns the number of requests of a load.
func (o Options) requests() int { return int(math.Round(float64(o.Rate) * o.Duration.Seconds())) }
