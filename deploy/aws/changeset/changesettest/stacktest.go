// Package changesettest is a CloudFormation for tests: an HTTP server that speaks its Query protocol, so that the real SDK
// client is part of what is tested. It plays what an emulator does not: failures at any point, rollbacks that fail, several
// deployers at once, throttling, credentials that expire and connections that break.
//
// It reads templates in JSON and makes nothing; resources exist as names. Events come one at a time: each look at a
// stack (DescribeStacks or DescribeStackEvents) first advances what runs on it by one step, or more (Pace). Messages are CloudFormation's.
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

// Of the account that the server plays.
const (
	Account = "123456789012"
	Region  = "eu-west-1"
)

// Phase is what CloudFormation does to a resource when it fails.
type Phase string

// The phases. Rollback is the undoing of an update, or the deletion that undoes a creation.
const (
	Create   Phase = "CREATE"
	Update   Phase = "UPDATE"
	Delete   Phase = "DELETE"
	Import   Phase = "IMPORT"
	Rollback Phase = "ROLLBACK"
)

// Fault is what happens to one call instead of the right answer.
type Fault struct {
	Status        int // HTTP
	Code, Message string
	Reset         bool // the connection breaks instead
	Hang          bool // no answer comes until the client gives up
	After         bool // the call takes effect first: only its answer is lost
	Ignored       bool // the answer is that of a success, but nothing happens
}

// Throttling is CloudFormation's answer to too many calls.
func Throttling() Fault { return Fault{Status: 400, Code: "Throttling", Message: "Rate exceeded"} }

// ExpiredToken is the answer to credentials that have expired.
func ExpiredToken() Fault {
	return Fault{Status: 403, Code: "ExpiredToken", Message: "The security token included in the request is expired"}
}

// AccessDenied is the answer to credentials that lack the permission for an action, such as cloudformation:CreateChangeSet.
func AccessDenied(action string) Fault {
	return Fault{Status: 403, Code: "AccessDenied", Message: fmt.Sprintf(
		"User: arn:aws:iam::%s:user/deployer is not authorized to perform: %s on resource: arn:aws:cloudformation:%s:%s:stack/x/* "+
			"because no identity-based policy allows the %s action", Account, action, Region, Account, action)}
}

// Unavailable is a fault of the service.
func Unavailable() Fault {
	return Fault{Status: 503, Code: "ServiceUnavailable", Message: "Service is unavailable"}
}

// Reset breaks the connection before the call takes effect.
func Reset() Fault { return Fault{Reset: true} }

// LostAnswer breaks the connection after the call has taken effect.
func LostAnswer() Fault { return Fault{Reset: true, After: true} }

// Hang answers nothing.
func Hang() Fault { return Fault{Hang: true} }

// Ignored is a call that is answered and forgotten.
func Ignored() Fault { return Fault{Ignored: true} }

// CloudFormation is the server. Create it with [New]; its methods may be called at any time.
type CloudFormation struct {
	URL string

	mu       sync.Mutex
	stacks   []*stack // also deleted ones
	existing map[string]bool
	failing  []failing
	refusing []refusing
	faults   map[string][]Fault
	before   map[string][]func()
	calls    []string
	pageSize int
	pace     int // steps at a look
	serial   int
	now      time.Time
}

// failing is a resource that is to fail.
type failing struct {
	phase             Phase
	logicalID, reason string
}

// refusing is a change set that is to fail.
type refusing struct {
	reason  string
	details []string
}

// New starts a server that ends with the test.
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

// Config returns a configuration of the SDK whose clients call this server: they retry without waiting.
func (c *CloudFormation) Config() aws.Config {
	return aws.Config{
		Region: Region, BaseEndpoint: aws.String(c.URL),
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
		HTTPClient:  &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, // leaves no goroutines behind
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = 3, time.Millisecond })
		},
	}
}

// Client returns a client of this server.
func (c *CloudFormation) Client() *cloudformation.Client {
	return cloudformation.NewFromConfig(c.Config())
}

// Fail makes the next operations fail when they come to a resource in a phase, once for each call of Fail.
func (c *CloudFormation) Fail(phase Phase, logicalID, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failing = append(c.failing, failing{phase, logicalID, reason})
}

// Forget takes back the failures that have not come about.
func (c *CloudFormation) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failing = nil
}

// Refuse makes the next change set fail for a reason. Details, each "LogicalID: reason", are what DescribeEvents tells of it.
func (c *CloudFormation) Refuse(reason string, details ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refusing = append(c.refusing, refusing{reason, details})
}

// Fault makes the next calls of an action, or of any with "*", end in these faults, one each. The SDK repeats calls.
func (c *CloudFormation) Fault(action string, faults ...Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults[action] = append(c.faults[action], faults...)
}

// Before makes do run before the next call of an action is looked at. It may use the server.
func (c *CloudFormation) Before(action string, do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.before[action] = append(c.before[action], do)
}

// Page sets how many events, changes and entries of a list come with one answer.
func (c *CloudFormation) Page(size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pageSize = size
}

// Pace sets how many steps each look at a stack advances what runs on it.
func (c *CloudFormation) Pace(steps int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pace = steps
}

// Age makes all that has happened so far happen that much earlier.
func (c *CloudFormation) Age(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.stacks {
		for _, set := range s.sets {
			set.created = set.created.Add(-by)
		}
		for i := range s.events {
			s.events[i].Timestamp = s.events[i].Timestamp.Add(-by)
		}
	}
}

// Exists makes a resource exist that is part of no stack, such as a table that another tool has made.
func (c *CloudFormation) Exists(resourceType, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.existing[resourceType+" "+name] = true
}

// Calls returns the actions that were called, faults included, in order.
func (c *CloudFormation) Calls() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.calls)
}

// Put makes a stack that is in a status, whatever led to it, with the resources of a template.
func (c *CloudFormation) Put(name, status string, template []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.newStack(name)
	parsed, err := parse(template)
	if err != nil {
		panic(err)
	}
	s.template, s.body = parsed, string(template)
	for _, id := range parsed.order() {
		s.put(id, parsed.Resources[id].Type, c.physical(s, id, parsed.Resources[id]), "CREATE_COMPLETE", "")
	}
	s.event(s.name, s.id, stackType, status, "", "")
}

// Set puts a resource of a stack into a status.
func (c *CloudFormation) Set(name, logicalID, status, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.find(name)
	r := s.resources[logicalID]
	s.event(logicalID, r.PhysicalResourceID, r.ResourceType, status, reason, "")
}

// Name gives a resource of a stack its physical id.
func (c *CloudFormation) Name(name, logicalID, physicalID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.find(name).resources[logicalID].PhysicalResourceID = physicalID
}

// Drift makes the properties at these paths of a stack's resource differ from the template. Without paths the resource is gone.
func (c *CloudFormation) Drift(name, logicalID string, paths ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.find(name)
	if s.drifted == nil {
		s.drifted = make(map[string][]string)
	}
	s.drifted[logicalID] = paths
	if r := s.resources[logicalID]; len(paths) == 0 {
		delete(c.existing, r.ResourceType+" "+r.PhysicalResourceID)
	}
}

// Become puts a stack into a status of which no event tells.
func (c *CloudFormation) Become(name, status string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.find(name).status = status
}

// Run lets whatever runs on a stack come to its end.
func (c *CloudFormation) Run(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.find(name); s != nil {
		for s.advance() {
		}
	}
}

// Status returns the status of a stack, "" when there is none.
func (c *CloudFormation) Status(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.find(name); s != nil {
		return s.status
	}
	return ""
}

// Resources returns the physical ids of a stack's resources that are there, by their logical ids.
func (c *CloudFormation) Resources(name string) map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	present := make(map[string]string)
	if s := c.find(name); s != nil {
		for id, r := range s.resources {
			if !r.gone() {
				present[id] = r.PhysicalResourceID
			}
		}
	}
	return present
}

// ChangeSets returns the names of a stack's change sets that have not been executed, in order.
func (c *CloudFormation) ChangeSets(name string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	if s := c.find(name); s != nil {
		for _, set := range s.pending() {
			names = append(names, set.name)
		}
	}
	return names
}

// ServeHTTP answers one call.
func (c *CloudFormation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	action := r.PostForm.Get("Action")
	fault, do := c.arrival(action)
	if do != nil {
		do()
	}
	if fault != nil && !fault.After {
		c.fail(w, r, *fault)
		return
	}
	result, err := c.answer(action, r.PostForm)
	switch {
	case fault != nil:
		c.fail(w, r, *fault)
	case err != nil:
		c.fail(w, r, *err)
	default:
		succeed(w, action, result)
	}
}

// succeed answers as the Query protocol does: the result is wrapped twice.
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

// arrival notes a call and returns what is to happen to it.
func (c *CloudFormation) arrival(action string) (*Fault, func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
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

func invalid(format string, args ...any) *Fault {
	return &Fault{Status: http.StatusBadRequest, Code: "ValidationError", Message: fmt.Sprintf(format, args...)}
}

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

// values returns the pairs of a list of keys and values.
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
