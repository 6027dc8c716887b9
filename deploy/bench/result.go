package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/userrequestapi/userdata/deploy/bench/quota"
)

// Result is the result of [Run]. Its JSON can be read again with [Read].
type Result struct {
	Time       time.Time `json:"time"`
	Machine    Machine   `json:"machine"`
	ColdStarts int       `json:"coldStarts"`
	Requests   int       `json:"requests"` // warm requests after each cold start
	Traced     bool      `json:"traced"`
	Quota      Quota     `json:"quota,omitempty"`
	Subjects   []Subject `json:"subjects"`
	Cells      []*Cell   `json:"cells"`
	Notes      []string  `json:"notes,omitempty"`
}

// Machine is the machine of a [Result].
type Machine struct {
	OS         string `json:"os"`
	Arch       string `json:"arch"`
	Processors int    `json:"processors"`
	Go         string `json:"go"`
}

// Quota says where the durations with a quota are from.
type Quota string

// Values of [Quota].
const (
	QuotaMeasured Quota = "measured" // in a control group
	QuotaComputed Quota = "computed" // see quota.Duration
)

// Kind says what an executable is compared as.
type Kind string

// Values of [Kind].
const (
	Function Kind = "function" // of the project
	Floor    Kind = "floor"    // does nothing but respond
	Other    Kind = "baseline"
)

// Subject is an executable.
type Subject struct {
	Name    string `json:"name"`
	Kind    Kind   `json:"kind"`
	Request string `json:"request,omitempty"` // such as GET /users/{userId}
	Of      string `json:"of,omitempty"`      // the function that a baseline is compared with
	// Sizes of the ZIP archive for this machine and for arm64, in bytes. The latter is 0 for a baseline.
	Zip      int64 `json:"zip"`
	ZipARM64 int64 `json:"zipArm64,omitempty"`
}

// Metric is a measured quantity.
type Metric string

// Metrics. Each cold start gives one value.
const (
	Init     Metric = "init ms"
	InitCPU  Metric = "init CPU ms"
	First    Metric = "first ms" // of the first request
	FirstCPU Metric = "first CPU ms"
	Cold     Metric = "init + first ms"
	P50      Metric = "p50 µs" // of the warm requests
	P90      Metric = "p90 µs"
	P99      Metric = "p99 µs"
	CPU      Metric = "CPU µs"  // per warm request
	Thaw     Metric = "thaw ms" // the request after a freeze in which the database has closed the connections
	Memory   Metric = "memory MiB"
)

// Cell has the values of an executable with a database and a memory size.
type Cell struct {
	Subject  string               `json:"subject"`
	Database Database             `json:"database,omitempty"`
	MemoryMB int                  `json:"memoryMB,omitempty"` // 0: a whole processor
	Values   map[Metric][]float64 `json:"values"`
}

// Cell returns the cell of an executable, or nil.
func (r *Result) Cell(subject string, database Database, memoryMB int) *Cell {
	for _, c := range r.Cells {
		if c.Subject == subject && c.Database == database && c.MemoryMB == memoryMB {
			return c
		}
	}
	return nil
}

// add adds the values of a cold start.
func (r *Result) add(subject string, database Database, memoryMB int, s coldStart) {
	c := r.Cell(subject, database, memoryMB)
	if c == nil {
		c = &Cell{Subject: subject, Database: database, MemoryMB: memoryMB, Values: map[Metric][]float64{}}
		r.Cells = append(r.Cells, c)
	}
	for metric, value := range s.metrics() {
		c.Values[metric] = append(c.Values[metric], value)
	}
}

// complete adds the cells with computed quotas.
func (r *Result) complete(sizes []int) {
	if r.Quota != QuotaComputed {
		return
	}
	for _, c := range append([]*Cell(nil), r.Cells...) {
		if c.Database != InstantTLS && c.Database != noDatabase || c.Values[FirstCPU] == nil {
			continue
		}
		for _, memoryMB := range sizes {
			limited := &Cell{Subject: c.Subject, Database: c.Database, MemoryMB: memoryMB, Values: map[Metric][]float64{}}
			for i, init := range c.Values[Init] {
				first := limit(memoryMB, c.Values[First][i], c.Values[FirstCPU][i])
				limited.Values[Init] = append(limited.Values[Init], init)
				limited.Values[First] = append(limited.Values[First], first)
				limited.Values[Cold] = append(limited.Values[Cold], init+first)
				warm := limit(memoryMB, c.Values[P50][i]/1000, c.Values[CPU][i]/1000) * 1000
				limited.Values[P50] = append(limited.Values[P50], warm)
			}
			r.Cells = append(r.Cells, limited)
		}
	}
}

// limit is [quota.Duration] in milliseconds.
func limit(memoryMB int, wall, cpu float64) float64 {
	const ms = float64(time.Millisecond)
	return float64(quota.Duration(memoryMB, time.Duration(wall*ms), time.Duration(cpu*ms))) / ms
}

// Read reads the JSON of a result from a file.
func Read(name string) (*Result, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read the saved result: %w", err)
	}
	var r Result
	err = json.Unmarshal(content, &r)
	if err == nil && (len(r.Cells) == 0 || slices.Contains(r.Cells, nil)) {
		err = errors.New("it has no values")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: want the output of JSON=1 go tool mage bench: %w", name, err)
	}
	return &r, nil
}
