package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/userrequestapi/userdata/deploy/aws/trace"
	"github.com/userrequestapi/userdata/deploy/bench/quota"
	"github.com/userrequestapi/userdata/deploy/bench/usage"
	"github.com/userrequestapi/userdata/deploy/local/lambda"
)

// coldStart has the measurements of one execution environment.
type coldStart struct {
	init, initCPU   time.Duration
	first, firstCPU time.Duration
	warm            []time.Duration
	cpu             time.Duration // per warm request
	thaw            time.Duration // the request after the environment was frozen and has lost its connections; 0 if none
	memory          int           // peak resident memory in bytes; 0 if unknown
}

// metrics returns the values of the cold start. Those that could not be measured are absent.
func (s coldStart) metrics() map[Metric]float64 {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	us := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
	values := map[Metric]float64{Init: ms(s.init), First: ms(s.first), Cold: ms(s.init + s.first)}
	if len(s.warm) > 0 {
		slices.Sort(s.warm)
		for metric, percent := range map[Metric]int{P50: 50, P90: 90, P99: 99} {
			values[metric] = us(percentile(s.warm, percent))
		}
	}
	if s.thaw > 0 {
		values[Thaw] = ms(s.thaw)
	}
	if usage.Supported {
		values[InitCPU], values[FirstCPU] = ms(s.initCPU), ms(s.firstCPU)
		values[Memory] = float64(s.memory) / (1 << 20)
		if len(s.warm) > 0 {
			values[CPU] = us(s.cpu)
		}
	}
	return values
}

// percentile returns the smallest value that is not below p percent of the sorted values.
func percentile(sorted []time.Duration, p int) time.Duration {
	return sorted[max((len(sorted)*p+99)/100-1, 0)]
}

// measure starts an execution environment, sends the first and the warm requests, and ends the environment.
func (r run) measure(ctx context.Context, o Options) (s coldStart, err error) {
	if err := r.database.prepare(ctx, r.subject.create); err != nil {
		return coldStart{}, err
	}
	limit := func(int) error { return nil }
	requests, pause := o.Requests, time.Duration(0)
	if r.group != nil {
		limit, requests, pause = r.group.Add, min(requests, limitedRequests), quota.Period
	}
	e, err := start(r.subject.configuration(r.database), !o.Untraced, limit)
	if err != nil {
		return coldStart{}, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	first, err := e.invoke(ctx, r.subject.event)
	if err != nil {
		return coldStart{}, err
	}
	s.init, s.initCPU, s.first, s.firstCPU = first.init, first.before, first.took, first.cpu
	for range requests {
		if r.subject.removes {
			if err := r.database.prepare(ctx, r.subject.create); err != nil {
				return coldStart{}, err
			}
		}
		time.Sleep(pause)
		warm, err := e.invoke(ctx, r.subject.event)
		if err != nil {
			return coldStart{}, err
		}
		s.warm = append(s.warm, warm.took)
		s.cpu += warm.cpu
	}
	s.cpu /= time.Duration(max(len(s.warm), 1))
	if r.database.disconnect != nil && r.group == nil {
		if s.thaw, err = r.thaw(ctx, e); err != nil {
			return coldStart{}, fmt.Errorf("request after a freeze: %w", err)
		}
	}
	if usage.Supported {
		if s.memory, err = usage.PeakMemory(e.pid); err != nil {
			return coldStart{}, err
		}
	}
	return s, nil
}

// thaw measures the request that follows a freeze in which the database has closed the connections.
func (r run) thaw(ctx context.Context, e *environment) (time.Duration, error) {
	if err := freeze(e.pid, r.database.disconnect); err != nil {
		return 0, err
	}
	got, err := e.invoke(ctx, r.subject.event)
	return got.took, err
}

// environment is one execution environment, which starts with the first invocation.
type environment struct {
	host   *lambda.Host
	name   string
	traced bool
	limit  func(pid int) error // called after the init
	daemon net.PacketConn      // receives the segments

	mu       sync.Mutex // guards the following fields, which the host's callbacks write
	pid      int
	started  time.Time     // of the current invocation
	before   time.Duration // processor time at its start
	cpu      time.Duration // processor time from its start to its end
	fault    error
	lines    []string // the last log lines, for an error
	exchange chan exchange
}

// exchange is a request with its response.
type exchange struct {
	init   time.Duration // of the environment; 0 if this was not its first request
	before time.Duration // processor time of the environment before the request
	took   time.Duration // from the request to the response
	cpu    time.Duration // from the request until the environment waits for the next one
	failed *lambda.InvocationError
}

// keptLines is the number of log lines that an error has.
const keptLines = 5

func start(function lambda.Configuration, traced bool, limit func(pid int) error) (_ *environment, err error) {
	// Nobody reads the datagrams: on Lambda, the daemon runs beside the function's quota.
	daemon, err := new(net.ListenConfig).ListenPacket(context.Background(), "udp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for X-Ray segments: %w", err)
	}
	e := &environment{name: function.Name, traced: traced, limit: limit, daemon: daemon, exchange: make(chan exchange, 1)}
	e.host, err = lambda.Start([]lambda.Configuration{function}, lambda.Options{
		AccountID: accountID, Region: region, XRayDaemonAddress: daemon.LocalAddr().String(), MaxEnvironments: 1,
		Log: e.log, Trace: e.trace,
	})
	if err != nil {
		return nil, errors.Join(err, daemon.Close())
	}
	return e, nil
}

// Close ends the environment.
func (e *environment) Close() error { return errors.Join(e.host.Close(), e.daemon.Close()) }

// log reads the processor time at the start and at the end of each invocation. The host calls it right before the
// function receives the event, and right after it asked for the next one.
func (e *environment) log(event lambda.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch record := event.Record.(type) {
	case lambda.InvocationStart:
		if e.pid != event.PID {
			e.pid = event.PID
			e.fault = errors.Join(e.fault, e.limit(e.pid))
		}
		e.before = e.read()
		e.started = time.Now()
	case lambda.Report:
		e.cpu = e.read() - e.before
	case lambda.Line, lambda.Fault:
		e.lines = append(e.lines, record.Text())
		e.lines = e.lines[max(len(e.lines)-keptLines, 0):]
	}
}

// read returns the processor time, or 0 if it cannot be read: the process may have ended. The caller must hold e.mu.
func (e *environment) read() time.Duration {
	if !usage.Supported {
		return 0
	}
	cpu, _ := usage.CPU(e.pid)
	return cpu
}

func (e *environment) trace(i lambda.Invocation) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.exchange <- exchange{
		init: i.InitEnded.Sub(i.InitStarted), before: e.before, took: i.Responded.Sub(e.started), cpu: e.cpu, failed: i.Error,
	}
}

// invoke sends a request and returns when the environment waits for the next one.
func (e *environment) invoke(ctx context.Context, event []byte) (exchange, error) {
	header := "Root=" + trace.NewTraceID(time.Now()) + ";Parent=" + trace.NewID() + ";Sampled=0"
	if e.traced {
		header = header[:len(header)-1] + "1"
	}
	output, err := e.host.Invoke(ctx, e.name, header, event)
	if err != nil {
		return exchange{}, err
	}
	var got exchange
	select {
	case <-ctx.Done():
		return exchange{}, context.Cause(ctx)
	case got = <-e.exchange:
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.fault != nil:
		return exchange{}, e.fault
	case got.failed != nil:
		reason := strings.TrimSpace(got.failed.Type + " " + got.failed.Message)
		return exchange{}, fmt.Errorf("the function failed: %s%s", reason, e.tail())
	}
	var response struct{ StatusCode int }
	_ = json.Unmarshal(output.Payload, &response) // a response without a status code is one of another kind of function
	if response.StatusCode >= 400 {
		return exchange{}, fmt.Errorf("want a status code below 400, got %s%s", output.Payload, e.tail())
	}
	return got, nil
}

// tail returns the last log lines. The caller must hold e.mu.
func (e *environment) tail() string {
	if len(e.lines) == 0 {
		return ""
	}
	return "\n" + strings.Join(e.lines, "\n")
}
