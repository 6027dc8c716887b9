package lambda

import "time"

// report logs the end of the invocation.
func (e *environment) report(failed *failure) {
	e.updateMemory()
	if e.output != nil {
		e.output.setOrigin(origin{}) // pending output belongs to this invocation
	}
	duration := min(time.Since(e.invocation.Started), e.function.Timeout) // without the shutdown after a timeout
	r := Report{
		RequestID: e.invocation.RequestID,
		Status:    "success",
		Metrics: ReportMetrics{
			DurationMs: milliseconds(duration),
			// Lambda bills the init of custom runtimes.
			BilledDurationMs: int64((duration + e.initTime + time.Millisecond - 1) / time.Millisecond),
			MemorySizeMB:     e.function.MemoryMB,
			MaxMemoryUsedMB:  (e.memory + 1<<20 - 1) >> 20,
			InitDurationMs:   milliseconds(e.initTime),
		},
		Tracing: e.tracing(),
	}
	if failed != nil {
		r.Status, r.ErrorType = failed.status, failed.errorType
		if failed.status == "timeout" {
			r.ErrorType = ""
		}
	}
	e.log(InvocationEnd{RequestID: e.invocation.RequestID})
	e.log(r)
	e.host.trace(e.record(failed))
	e.initTime, e.cold = 0, false
}

func (e *environment) initReport(failed *failure) InitReport {
	return InitReport{
		InitializationType: "on-demand",
		Phase:              e.phase,
		Status:             failed.status,
		ErrorType:          failed.errorType,
		Metrics:            InitReportMetrics{DurationMs: milliseconds(time.Since(e.initStart))},
	}
}

// tracing returns the X-Ray part of the invocation's events, or nil if the invocation is not sampled.
func (e *environment) tracing() *Tracing {
	inv := e.invocation
	if !e.function.Tracing || !inv.Sampled {
		return nil
	}
	return &Tracing{SpanID: inv.FunctionSegment, Type: "X-Amzn-Trace-Id", Value: inv.traceHeader}
}

func (e *environment) log(record Record) {
	from := e.invocation.origin()
	e.host.log(Event{
		Time: time.Now(), Function: e.function.Name, LogStream: e.logStream, PID: e.pid,
		RequestID: from.requestID, TraceID: from.traceID, Record: record,
	})
}

// updateMemory updates the peak of the process's resident memory.
func (e *environment) updateMemory() {
	if e.process != nil {
		e.memory = max(e.memory, peakMemory(e.process.Pid()))
	}
}
