// Package changesettest provides an in-memory CloudFormation server for tests. It implements the Query protocol, so
// that tests use the SDK's client. Unlike emulators it simulates failures at any point, failed rollbacks, concurrent
// deployments, throttling, expired credentials and broken connections.
//
// It evaluates JSON templates with package cfn. Resources exist by name only. Each call of DescribeStacks or
// DescribeStackEvents first executes one step of the operation in progress, or more (see Pace). Messages are those of
// CloudFormation.
package changesettest

import (
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
)

// The account and Region of the server.
const (
	Account = "123456789012"
	Region  = "eu-west-1"
)

// Phase is the operation in which a resource fails.
type Phase string

// The phases. Rollback reverts an update, or deletes a created resource.
const (
	Create   Phase = "CREATE"
	Update   Phase = "UPDATE"
	Delete   Phase = "DELETE"
	Import   Phase = "IMPORT"
	Rollback Phase = "ROLLBACK"
)

// Fault replaces the response to one call.
type Fault struct {
	Status        int // HTTP status code
	Code, Message string
	Reset         bool // the server closes the connection instead
	Hang          bool // the server does not respond until the client cancels the request
	After         bool // the call takes effect before the fault
	Ignored       bool // the response reports success, but the call has no effect
}

// Throttling is the response to too many calls.
func Throttling() Fault { return Fault{Status: 400, Code: "Throttling", Message: "Rate exceeded"} }

// ExpiredToken is the response to expired credentials.
func ExpiredToken() Fault {
	return Fault{Status: 403, Code: "ExpiredToken", Message: "The security token included in the request is expired"}
}

// AccessDenied is the response to credentials without the permission for an action, such as
// cloudformation:CreateChangeSet.
func AccessDenied(action string) Fault {
	return Fault{Status: 403, Code: "AccessDenied", Message: fmt.Sprintf(
		"User: arn:aws:iam::%s:user/deployer is not authorized to perform: %s "+
			"on resource: arn:aws:cloudformation:%s:%s:stack/x/* because no identity-based policy allows the %s action",
		Account, action, Region, Account, action,
	)}
}

// Unavailable is a fault of the service.
func Unavailable() Fault {
	return Fault{Status: 503, Code: "ServiceUnavailable", Message: "Service is unavailable"}
}

// Reset closes the connection before the call takes effect.
func Reset() Fault { return Fault{Reset: true} }

// LostResponse closes the connection after the call has taken effect.
func LostResponse() Fault { return Fault{Reset: true, After: true} }

// Hang sends no response.
func Hang() Fault { return Fault{Hang: true} }

// Ignored reports success for a call without effect.
func Ignored() Fault { return Fault{Ignored: true} }

// CloudFormation is the server. Create it with [New]. It is safe for concurrent use.
type CloudFormation struct {
	URL string

	mu       sync.Mutex
	stacks   []*stackState // includes deleted ones
	existing map[string]bool
	failing  []failing
	rejected []rejection
	faults   map[string][]Fault
	before   map[string][]func()
	calls    []string
	pageSize int
	pace     int // steps per poll
	serial   int
	now      time.Time
}

// failing is a resource to fail.
type failing struct {
	phase             Phase
	logicalID, reason string
}

// rejection is a change set to fail.
type rejection struct {
	reason  string
	details []string
}

// New starts a server for a test.
func New(tb testing.TB) *CloudFormation {
	tb.Helper()
	c := &CloudFormation{
		existing: make(map[string]bool), faults: make(map[string][]Fault), before: make(map[string][]func()),
		pageSize: 100, pace: 1, now: time.Now().UTC().Truncate(time.Millisecond),
	}
	server := httptest.NewServer(c)
	tb.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

// Config returns the SDK configuration for clients of this server. They retry without delay.
func (c *CloudFormation) Config() aws.Config {
	return aws.Config{
		Region: Region, BaseEndpoint: aws.String(c.URL),
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
		HTTPClient:  &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, // leaks no goroutines
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = 3, time.Millisecond })
		},
	}
}

// Client returns a client of this server.
func (c *CloudFormation) Client() *cloudformation.Client {
	return cloudformation.NewFromConfig(c.Config())
}

// lock locks the server and returns the function that unlocks it.
func (c *CloudFormation) lock() func() {
	c.mu.Lock()
	return c.mu.Unlock
}

// Fail makes the next operation on a resource in a phase fail, once for each call of Fail.
func (c *CloudFormation) Fail(phase Phase, logicalID, reason string) {
	defer c.lock()()
	c.failing = append(c.failing, failing{phase, logicalID, reason})
}

// Forget removes the failures that have not occurred.
func (c *CloudFormation) Forget() {
	defer c.lock()()
	c.failing = nil
}

// Refuse makes the next change set fail with a reason. DescribeEvents returns details, each in the form "LogicalID:
// reason".
func (c *CloudFormation) Refuse(reason string, details ...string) {
	defer c.lock()()
	c.rejected = append(c.rejected, rejection{reason, details})
}

// Fault makes the next calls of an action, or of any action with "*", return these faults, one each. Retries count as
// calls.
func (c *CloudFormation) Fault(action string, faults ...Fault) {
	defer c.lock()()
	c.faults[action] = append(c.faults[action], faults...)
}

// Before runs do before the next call of an action. do may use the server.
func (c *CloudFormation) Before(action string, do func()) {
	defer c.lock()()
	c.before[action] = append(c.before[action], do)
}

// Page sets the page size of events, changes and other lists.
func (c *CloudFormation) Page(size int) {
	defer c.lock()()
	c.pageSize = size
}

// Pace sets the number of steps that each poll of a stack executes.
func (c *CloudFormation) Pace(steps int) {
	defer c.lock()()
	c.pace = steps
}

// Age moves the times of all events and change sets into the past.
func (c *CloudFormation) Age(by time.Duration) {
	defer c.lock()()
	for _, s := range c.stacks {
		for _, set := range s.sets {
			set.created = set.created.Add(-by)
		}
		for i := range s.events {
			s.events[i].Timestamp = new(s.events[i].Timestamp.Add(-by))
		}
	}
}

// Exists adds a resource outside of all stacks, such as a table created by another tool.
func (c *CloudFormation) Exists(resourceType, name string) {
	defer c.lock()()
	c.existing[resourceType+" "+name] = true
}

// Calls returns the actions called, including faults, in order.
func (c *CloudFormation) Calls() []string {
	defer c.lock()()
	return slices.Clone(c.calls)
}

// Put creates a stack in a status, with the resources of a template.
func (c *CloudFormation) Put(name, status string, template []byte) {
	defer c.lock()()
	s := c.newStack(name)
	parsed, err := parse(template)
	if err != nil {
		panic(err)
	}
	s.template, s.body = parsed, string(template)
	for _, id := range parsed.order() {
		s.put(id, parsed.Resources[id].Type, s.physical(parsed, id), "CREATE_COMPLETE", "")
	}
	s.event(s.name, s.id, stackType, status, "", "")
}

// SetResourceStatus sets the status of a stack's resource.
func (c *CloudFormation) SetResourceStatus(name, logicalID, status, reason string) {
	defer c.lock()()
	s := c.find(name)
	r := s.resources[logicalID]
	s.event(logicalID, r.PhysicalResourceID, r.ResourceType, status, reason, "")
}

// SetPhysicalID sets the physical ID of a stack's resource.
func (c *CloudFormation) SetPhysicalID(name, logicalID, physicalID string) {
	defer c.lock()()
	c.find(name).resources[logicalID].PhysicalResourceID = physicalID
}

// Drift makes the properties at these paths of a stack's resource differ from the template. Without paths, it deletes
// the resource.
func (c *CloudFormation) Drift(name, logicalID string, paths ...string) {
	defer c.lock()()
	s := c.find(name)
	if s.drifted == nil {
		s.drifted = make(map[string][]string)
	}
	s.drifted[logicalID] = paths
	if r := s.resources[logicalID]; len(paths) == 0 {
		delete(c.existing, r.ResourceType+" "+r.PhysicalResourceID)
	}
}

// SetStatus sets the status of a stack without an event.
func (c *CloudFormation) SetStatus(name, status string) {
	defer c.lock()()
	c.find(name).status = status
}

// Run completes the operation in progress on a stack.
func (c *CloudFormation) Run(name string) {
	defer c.lock()()
	if s := c.find(name); s != nil {
		for s.advance() {
		}
	}
}

// Status returns the status of a stack, or "" if it does not exist.
func (c *CloudFormation) Status(name string) string {
	defer c.lock()()
	if s := c.find(name); s != nil {
		return s.status
	}
	return ""
}

// WantStatus fails the test unless a stack has this status; "" means that it does not exist.
func (c *CloudFormation) WantStatus(tb testing.TB, name, want string) {
	tb.Helper()
	if got := c.Status(name); got != want {
		tb.Errorf("status of the stack = %q, want %q", got, want)
	}
}

// Resources returns the physical IDs of a stack's existing resources by logical ID.
func (c *CloudFormation) Resources(name string) map[string]string {
	defer c.lock()()
	present := make(map[string]string)
	if s := c.find(name); s != nil {
		for id, r := range s.resources {
			if !r.deleted() {
				present[id] = r.PhysicalResourceID
			}
		}
	}
	return present
}

// ChangeSets returns the names of a stack's change sets that have not been executed, in order.
func (c *CloudFormation) ChangeSets(name string) []string {
	defer c.lock()()
	var names []string
	if s := c.find(name); s != nil {
		for _, set := range s.pending() {
			names = append(names, set.name)
		}
	}
	return names
}

// ServeHTTP handles one call.
func (c *CloudFormation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	action := r.PostForm.Get("Action")
	fault, do := c.record(action)
	if do != nil {
		do()
	}
	if fault != nil && !fault.After {
		c.fail(w, r, *fault)
		return
	}
	result, err := c.respond(action, r.PostForm)
	switch {
	case fault != nil:
		c.fail(w, r, *fault)
	case err != nil:
		c.fail(w, r, *err)
	default:
		succeed(w, action, result)
	}
}

// succeed writes a response of the Query protocol.
func succeed(w http.ResponseWriter, action string, result any) {
	const namespace = "http://cloudformation.amazonaws.com/doc/2010-05-15/"
	w.Header().Set("Content-Type", "text/xml")
	encoder := xml.NewEncoder(w)
	response := xml.StartElement{Name: xml.Name{Space: namespace, Local: action + "Response"}}
	_ = encoder.EncodeToken(response)
	_ = encoder.EncodeElement(result, xml.StartElement{Name: xml.Name{Local: action + "Result"}})
	_ = encoder.EncodeElement("test", xml.StartElement{Name: xml.Name{Local: "RequestId"}})
	_ = encoder.EncodeToken(response.End())
	_ = encoder.Close()
}

// record records a call and returns its fault and the function to run before it; each may be nil.
func (c *CloudFormation) record(action string) (*Fault, func()) {
	defer c.lock()()
	c.calls = append(c.calls, action)
	var do func()
	if todo := c.before[action]; len(todo) > 0 {
		do, c.before[action] = todo[0], todo[1:]
	}
	for _, key := range []string{action, "*"} {
		if faults := c.faults[key]; len(faults) > 0 {
			c.faults[key] = faults[1:]
			return &faults[0], do
		}
	}
	return nil, do
}

func (c *CloudFormation) fail(w http.ResponseWriter, r *http.Request, fault Fault) {
	switch {
	case fault.Ignored:
		succeed(w, r.PostForm.Get("Action"), struct{}{})
	case fault.Hang:
		<-r.Context().Done()
	case fault.Reset:
		panic(http.ErrAbortHandler)
	default:
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(fault.Status)
		_ = xml.NewEncoder(w).Encode(errorResponse{
			Type: "Sender", Code: fault.Code, Message: fault.Message, RequestID: "test",
		})
	}
}

type errorResponse struct {
	XMLName   xml.Name `xml:"http://cloudformation.amazonaws.com/doc/2010-05-15/ ErrorResponse"`
	Type      string   `xml:"Error>Type"`
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

func refuse(code, format string, args ...any) *Fault {
	return &Fault{Status: http.StatusBadRequest, Code: code, Message: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) *Fault { return refuse("ValidationError", format, args...) }

// members returns the values of a list of structures, such as Parameters.member.1.ParameterKey.
func members(form url.Values, list string) []map[string]string {
	var all []map[string]string
	for i := 1; ; i++ {
		one := make(map[string]string)
		start := fmt.Sprintf("%s.member.%d", list, i)
		for key := range form {
			if rest, ok := strings.CutPrefix(key, start); ok && (rest == "" || rest[0] == '.') {
				one[strings.TrimPrefix(rest, ".")] = form.Get(key)
			}
		}
		if len(one) == 0 {
			return all
		}
		all = append(all, one)
	}
}

// values returns a list of key-value structures as a map.
func values(form url.Values, list, key, value string) map[string]string {
	pairs := make(map[string]string)
	for _, member := range members(form, list) {
		pairs[member[key]] = member[value]
	}
	return pairs
}

// names returns the values of a list of strings.
func names(form url.Values, list string) []string {
	var all []string
	for _, member := range members(form, list) {
		all = slices.AppendSeq(all, maps.Values(member))
	}
	return all
}
