// Package bench measures a project's functions as Lambda runs them: the executables of a deployment, on the local
// Runtime API, with the events that API Gateway sends for the examples of the API document.
package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/userrequestapi/userdata/deploy/bench/quota"
	"github.com/userrequestapi/userdata/deploy/bench/usage"
	"github.com/userrequestapi/userdata/deploy/host/process"
)

// Options configures [Run]. Root must be set; the other fields may be zero.
type Options struct {
	Root       string     // the workspace
	Functions  []string   // folder names of the functions to measure, such as get; empty: all
	Baselines  []Baseline // executables to compare with
	Folder     string     // the folder of the relative paths in Baselines; "" is the working directory
	Databases  []Database // empty: DefaultDatabases
	MemoryMB   []int      // memory sizes to apply the quota of; empty: none
	ColdStarts int        // of each executable and database; 0 means 20
	Requests   int        // warm requests after each cold start; 0 means 300
	Untraced   bool       // the requests are not sampled by X-Ray
	// Executables is a folder with the functions' executables, <logical id>/bootstrap. They are measured instead of built.
	Executables string
	// Progress is called with each step; it may be nil.
	Progress func(step string)
}

// Defaults of [Options].
const (
	DefaultColdStarts = 20
	DefaultRequests   = 300
)

// limitedRequests is the number of warm requests of an execution environment with a quota. They are one period apart,
// as on a stage with little traffic: without a pause, they would measure the quota.
const limitedRequests = 10

// Run measures the functions. Each round starts every executable once with each database, in another order than the
// previous round, so that a change of the machine's speed affects all of them.
func Run(ctx context.Context, o Options) (_ *Result, err error) {
	if !process.Groups {
		return nil, errors.New("the benchmark runs on Linux and macOS: on Windows, use WSL 2")
	}
	o.setDefaults()
	work, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, fmt.Errorf("create the folder of the executables: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	p, err := load(o)
	if err != nil {
		return nil, err
	}
	result := newResult(o)
	subjects, err := p.subjects(ctx, o, work)
	if err != nil {
		return nil, err
	}
	databases, closeDatabases, err := p.databases(ctx, o, work, subjects, result)
	defer func() { err = errors.Join(err, closeDatabases()) }()
	if err != nil {
		return nil, err
	}
	groups, closeGroups := openGroups(o.MemoryMB, result)
	defer func() { err = errors.Join(err, closeGroups()) }()
	for _, s := range subjects {
		result.Subjects = append(result.Subjects, s.Subject)
	}
	runs := plan(subjects, databases, groups)
	began := time.Now()
	for round := range o.ColdStarts {
		// Each run affects the next one, for example through the processor's caches.
		rand.Shuffle(len(runs), func(i, j int) { runs[i], runs[j] = runs[j], runs[i] }) //nolint:gosec // not a secret
		for i, r := range runs {
			o.Progress(progress(began, round*len(runs)+i, o.ColdStarts*len(runs), r))
			measured, err := r.measure(ctx, o)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r, err)
			}
			result.add(r.subject.Name, r.database.name, r.memoryMB, measured)
		}
	}
	result.complete(o.MemoryMB)
	return result, nil
}

func (o *Options) setDefaults() {
	if o.ColdStarts == 0 {
		o.ColdStarts = DefaultColdStarts
	}
	if o.Requests == 0 {
		o.Requests = DefaultRequests
	}
	if len(o.Databases) == 0 {
		o.Databases = DefaultDatabases()
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
}

// progress describes a run and the remaining time.
func progress(began time.Time, done, all int, r run) string {
	text := fmt.Sprintf("%d of %d: %s", done+1, all, r)
	if done > 0 {
		left := time.Since(began) / time.Duration(done) * time.Duration(all-done)
		text += fmt.Sprintf(", %v left", left.Round(time.Second))
	}
	return text
}

// run is an executable with a database, and the quota of a memory size.
type run struct {
	subject  *subject
	database *database
	memoryMB int          // 0: a whole processor
	group    *quota.Group // nil for a whole processor
}

// String describes the run as its cell.
func (r run) String() string {
	return (&Cell{Subject: r.subject.Name, Database: r.database.name, MemoryMB: r.memoryMB}).String()
}

// plan returns the runs of a round. The quotas are measured with one database, the one most like DynamoDB.
func plan(subjects []*subject, databases []*database, groups map[int]*quota.Group) []run {
	var runs []run
	limited := databases[0]
	for _, d := range databases {
		if d.name == InstantTLS || d.name == InstantOneRoot && limited.name != InstantTLS {
			limited = d
		}
	}
	for _, s := range subjects {
		whole, limited := databases, limited
		if s.Kind == Floor {
			limited = &database{name: noDatabase}
			whole = []*database{limited}
		}
		for _, d := range whole {
			if !s.foreign || !d.stores { // the tables have the keys of this project
				runs = append(runs, run{subject: s, database: d})
			}
		}
		for _, memoryMB := range slices.Sorted(maps.Keys(groups)) {
			runs = append(runs, run{s, limited, memoryMB, groups[memoryMB]})
		}
	}
	return runs
}

// openGroups creates the control groups of memory sizes. Without the permission, the quota is computed.
func openGroups(sizes []int, result *Result) (groups map[int]*quota.Group, closeAll func() error) {
	groups = map[int]*quota.Group{}
	closeAll = func() error {
		var errs []error
		for _, g := range groups {
			errs = append(errs, g.Close())
		}
		return errors.Join(errs...)
	}
	if len(sizes) == 0 {
		return groups, closeAll
	}
	result.Quota = QuotaMeasured
	for _, memoryMB := range sizes {
		g, err := quota.New(memoryMB)
		if err != nil {
			result.Quota = QuotaComputed
			_ = closeAll() // empty groups
			clear(groups)
			return groups, closeAll
		}
		groups[memoryMB] = g
	}
	return groups, closeAll
}

func newResult(o Options) *Result {
	result := &Result{
		Time: time.Now().UTC().Truncate(time.Second), ColdStarts: o.ColdStarts, Requests: o.Requests, Traced: !o.Untraced,
		Machine: Machine{
			OS: runtime.GOOS, Arch: runtime.GOARCH, Processors: runtime.NumCPU(), Go: runtime.Version(),
		},
	}
	if !usage.Supported {
		result.Notes = append(result.Notes, "processor time and memory are measured on Linux only")
	}
	return result
}
