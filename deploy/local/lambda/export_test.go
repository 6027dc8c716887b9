package lambda

import (
	"slices"
	"strings"
)

// Environment describes an execution environment.
type Environment struct {
	ID        string
	PID       int // 0 until the process starts
	LogStream string
	Busy      bool // starting, executing an invocation, or not yet ready for the next one
}

// Environments returns the execution environments of a function, sorted by id. It includes those that [Host.Update] is
// about to end.
func (h *Host) Environments(function string) []Environment {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []Environment
	for _, e := range h.environments {
		if e.function.Name == function {
			idle := slices.Contains(e.function.idle, e)
			list = append(list, Environment{ID: e.id, PID: e.pid, LogStream: e.logStream, Busy: !idle})
		}
	}
	slices.SortFunc(list, func(a, b Environment) int { return strings.Compare(a.ID, b.ID) })
	return list
}
