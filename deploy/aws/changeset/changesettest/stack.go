package changesettest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

const stackType = "AWS::CloudFormation::Stack"

// template has the parts of a template that the server supports.
type template struct {
	Parameters map[string]struct{ Default any }
	Resources  map[string]templateResource
	Outputs    map[string]struct{ Value any }
}

type templateResource struct {
	Type                string
	Properties          map[string]any
	DeletionPolicy      string
	UpdateReplacePolicy string
}

// removed returns the resource with the DeletionPolicy that applies after its creation.
func (r templateResource) removed() templateResource {
	if r.DeletionPolicy == "RetainExceptOnCreate" {
		r.DeletionPolicy = "Retain"
	}
	return r
}

func parse(body []byte) (*template, error) {
	t := new(template)
	return t, json.Unmarshal(body, t)
}

func (t *template) order() []string { return slices.Sorted(maps.Keys(t.Resources)) }

// stack is a stack. The server's lock protects all fields but its ID and name.
type stack struct {
	id, name         string
	server           *CloudFormation
	status, reason   string
	created, updated time.Time
	template         *template
	body             string
	parameters, tags map[string]string
	resources        map[string]*resource
	events           []event
	sets             []*changeSet
	steps            []func()            // the pending steps of the operation
	drifted          map[string][]string // property paths by logical ID; without paths, the resource was deleted
	compared         int                 // number of calls that described the drift detection
}

// deleted reports whether a resource was deleted outside of CloudFormation.
func (s *stack) deleted(id string) bool {
	paths, ok := s.drifted[id]
	return ok && len(paths) == 0
}

func (s *stack) driftStatus(id string) string {
	switch {
	case s.deleted(id):
		return "DELETED"
	case len(s.drifted[id]) > 0:
		return "MODIFIED"
	default:
		return "IN_SYNC"
	}
}

// resource and event have the fields of the API.
type resource struct {
	LogicalResourceID    string    `xml:"LogicalResourceId"`
	PhysicalResourceID   string    `xml:"PhysicalResourceId"`
	ResourceType         string    `xml:"ResourceType"`
	ResourceStatus       string    `xml:"ResourceStatus"`
	ResourceStatusReason string    `xml:"ResourceStatusReason,omitempty"`
	LastUpdatedTimestamp time.Time `xml:"LastUpdatedTimestamp"`
}

func (r *resource) deleted() bool {
	switch r.ResourceStatus {
	case "DELETE_COMPLETE", "DELETE_SKIPPED", "IMPORT_FAILED", "IMPORT_ROLLBACK_COMPLETE":
		return true
	default:
		return false
	}
}

type event struct {
	StackID              string    `xml:"StackId"`
	EventID              string    `xml:"EventId"`
	StackName            string    `xml:"StackName"`
	LogicalResourceID    string    `xml:"LogicalResourceId"`
	PhysicalResourceID   string    `xml:"PhysicalResourceId"`
	ResourceType         string    `xml:"ResourceType"`
	Timestamp            time.Time `xml:"Timestamp"`
	ResourceStatus       string    `xml:"ResourceStatus"`
	ResourceStatusReason string    `xml:"ResourceStatusReason,omitempty"`
	ClientRequestToken   string    `xml:"ClientRequestToken,omitempty"`
}

type changeSet struct {
	id, name, token, kind     string
	description               string
	mode                      string // DeploymentMode
	created                   time.Time
	status, reason, execution string
	executed                  string // ClientRequestToken of the execution
	ready                     bool   // it was described once during its creation
	body                      string
	template                  *template
	parameters, tags          map[string]string
	imports                   map[string]string // physical by logical ID
	changes                   []change
	details                   []string
}

type change struct {
	Action       string   `xml:"ResourceChange>Action"`
	LogicalID    string   `xml:"ResourceChange>LogicalResourceId"`
	PhysicalID   string   `xml:"ResourceChange>PhysicalResourceId,omitempty"`
	ResourceType string   `xml:"ResourceChange>ResourceType"`
	Replacement  string   `xml:"ResourceChange>Replacement,omitempty"`
	PolicyAction string   `xml:"ResourceChange>PolicyAction,omitempty"`
	Details      []detail `xml:"ResourceChange>Details>member"`
	Drift        string   `xml:"ResourceChange>ResourceDriftStatus,omitempty"`
	Type         string   `xml:"Type"`
}

type detail struct {
	Attribute          string `xml:"Target>Attribute"`
	Name               string `xml:"Target>Name,omitempty"`
	RequiresRecreation string `xml:"Target>RequiresRecreation"`
	BeforeValueFrom    string `xml:"Target>BeforeValueFrom,omitempty"`
}

// revertDrift is the DeploymentMode of drift-aware change sets ("Using drift-aware change sets").
const revertDrift = "REVERT_DRIFT"

// tick returns a time later than all before.
func (c *CloudFormation) tick() time.Time {
	c.now = c.now.Add(time.Millisecond)
	return c.now
}

func (c *CloudFormation) newStack(name string) *stack {
	c.serial++
	s := &stack{
		id:     fmt.Sprintf("arn:aws:cloudformation:%s:%s:stack/%s/%08d", Region, Account, name, c.serial),
		name:   name,
		server: c, created: c.tick(), template: new(template), resources: make(map[string]*resource),
	}
	c.stacks = append(c.stacks, s)
	return s
}

// find returns the stack with a name or ID, or nil. A deleted stack is found by its ID only.
func (c *CloudFormation) find(id string) *stack {
	for _, s := range slices.Backward(c.stacks) {
		if s.id == id || s.name == id && s.status != "DELETE_COMPLETE" {
			return s
		}
	}
	return nil
}

// physical returns the physical ID of a resource: the name in its properties, such as TableName, or a generated one.
func (c *CloudFormation) physical(s *stack, id string, r templateResource) string {
	if name, ok := s.resolve(r.Properties[nameProperty(r.Type)], s.parameters).(string); ok {
		return name
	}
	c.serial++
	return fmt.Sprintf("%s-%s-%08d", s.name, id, c.serial)
}

// nameProperty returns the property that names a resource of a type, such as TableName.
func nameProperty(resourceType string) string {
	return resourceType[strings.LastIndex(resourceType, ":")+1:] + "Name"
}

// resolve resolves references to parameters and resources.
func (s *stack) resolve(value any, parameters map[string]string) any {
	reference, ok := value.(map[string]any)
	if !ok {
		return value
	}
	name, _ := reference["Ref"].(string)
	if r := s.resources[name]; r != nil {
		return r.PhysicalResourceID
	}
	if parameter, ok := parameters[name]; ok {
		return parameter
	}
	return nil
}

func (s *stack) put(id, kind, physical, status, reason string) {
	r := s.resources[id]
	if r == nil {
		r = &resource{LogicalResourceID: id}
		s.resources[id] = r
	}
	r.ResourceType, r.PhysicalResourceID, r.ResourceStatus, r.ResourceStatusReason = kind, physical, status, reason
	r.LastUpdatedTimestamp = s.server.now
}

// event appends an event and sets the status of its resource or the stack.
func (s *stack) event(id, physical, kind, status, reason, token string) {
	c := s.server
	c.serial++
	s.events = append(s.events, event{
		StackID: s.id, EventID: fmt.Sprintf("event-%08d", c.serial), StackName: s.name, LogicalResourceID: id,
		PhysicalResourceID: physical, ResourceType: kind, Timestamp: c.tick(), ResourceStatus: status,
		ResourceStatusReason: reason, ClientRequestToken: token,
	})
	if physical == s.id {
		s.status, s.reason, s.updated = status, reason, c.now
	} else {
		s.put(id, kind, physical, status, reason)
	}
}

// schedule appends a step with an event of the stack or one of its resources.
func (s *stack) schedule(token, id, kind, status, reason string, also ...func()) {
	s.steps = append(s.steps, func() {
		physical := s.id
		if r := s.resources[id]; id != s.name && r != nil {
			physical = r.PhysicalResourceID
		}
		s.event(id, physical, kind, status, reason, token)
		for _, do := range also {
			do()
		}
	})
}

// poll executes the steps that one poll of the stack allows.
func (s *stack) poll() {
	for range s.server.pace {
		s.advance()
	}
}

func (s *stack) advance() bool {
	if len(s.steps) == 0 {
		return false
	}
	step := s.steps[0]
	s.steps = s.steps[1:]
	step()
	return true
}

// fails reports whether a resource is to fail in a phase, and returns the reason.
func (c *CloudFormation) fails(phase Phase, id string) (string, bool) {
	for i, f := range c.failing {
		if f.phase == phase && f.logicalID == id {
			c.failing = slices.Delete(c.failing, i, i+1)
			return f.reason, true
		}
	}
	return "", false
}

// pending returns the change sets that have not been executed.
func (s *stack) pending() []*changeSet {
	return slices.DeleteFunc(slices.Clone(s.sets), func(set *changeSet) bool {
		return strings.HasPrefix(set.execution, "EXECUTE_")
	})
}

// markObsolete marks the change sets that have not been executed as obsolete.
func (s *stack) markObsolete() {
	for _, other := range s.pending() {
		other.execution = "OBSOLETE"
	}
}

// compare sets the changes of a change set.
func (s *stack) compare(set *changeSet) {
	old, next := s.template, set.template
	for _, id := range next.order() {
		r := next.Resources[id]
		before, ok := old.Resources[id]
		c := change{Action: "Modify", LogicalID: id, ResourceType: r.Type, Type: "Resource"}
		switch {
		case set.imports[id] != "":
			c.Action, c.PhysicalID = "Import", set.imports[id]
		case !ok:
			c.Action = "Add"
		default:
			c.Replacement, c.PhysicalID = "False", s.resources[id].PhysicalResourceID
			for _, property := range union(before.Properties, r.Properties) {
				if reflect.DeepEqual(before.Properties[property], r.Properties[property]) &&
					!s.refers(set, r.Properties[property]) {
					continue
				}
				recreation := "Never"
				if property == nameProperty(r.Type) {
					c.Replacement, recreation = "True", "Always"
					c.PolicyAction = "ReplaceAnd" + cmp.Or(r.UpdateReplacePolicy, "Delete")
				}
				c.Details = append(c.Details, detail{Attribute: "Properties", Name: property, RequiresRecreation: recreation})
			}
			if set.mode == revertDrift && !s.revert(set, &c) {
				return
			}
			if !maps.Equal(s.tags, set.tags) {
				c.Details = append(c.Details, detail{Attribute: "Tags", RequiresRecreation: "Never"})
			}
			if len(c.Details) == 0 && c.Action == "Modify" {
				continue
			}
		}
		set.changes = append(set.changes, c)
	}
	for _, id := range old.order() {
		if _, ok := next.Resources[id]; !ok {
			set.changes = append(set.changes, change{
				Action: "Remove", LogicalID: id, ResourceType: old.Resources[id].Type, Type: "Resource",
				PhysicalID:   s.resources[id].PhysicalResourceID,
				PolicyAction: cmp.Or(old.Resources[id].removed().DeletionPolicy, "Delete"),
			})
		}
	}
}

// revert adds to a change of a drift-aware change set the changes that revert the drift of its resource. It reports
// whether that is possible.
func (s *stack) revert(set *changeSet, c *change) bool {
	c.Drift = s.driftStatus(c.LogicalID)
	switch c.Drift {
	case "DELETED":
		c.Action, c.Replacement, c.PhysicalID, c.Details = "Add", "", "", nil
	case "MODIFIED":
		if c.Replacement == "True" {
			set.status, set.execution, set.changes = "FAILED", "UNAVAILABLE", nil
			set.reason = "The submitted information requires replacement of drifted resources, which is not supported. " +
				"Resolve drift before changing immutable resource properties"
			return false
		}
		for _, path := range s.drifted[c.LogicalID] {
			name, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
			c.Details = append(c.Details, detail{
				Attribute: "Properties", Name: name, RequiresRecreation: "Never", BeforeValueFrom: "ACTUAL_STATE",
			})
		}
	}
	return true
}

// refers reports whether a value is a reference to a parameter that changes.
func (s *stack) refers(set *changeSet, value any) bool {
	reference, ok := value.(map[string]any)
	if !ok {
		return false
	}
	name, _ := reference["Ref"].(string)
	return s.parameters[name] != set.parameters[name]
}

func union(a, b map[string]any) []string {
	all := maps.Clone(a)
	if all == nil {
		all = make(map[string]any)
	}
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}

// execute schedules the execution of a change set.
func (s *stack) execute(set *changeSet, token string) {
	phase := Phase(set.kind)
	set.execution, set.executed = "EXECUTE_IN_PROGRESS", token
	s.markObsolete()
	previous := s.parameters
	s.schedule(
		token,
		s.name,
		stackType,
		set.kind+"_IN_PROGRESS",
		"User Initiated",
		func() { s.parameters = set.parameters },
	)
	present := slices.DeleteFunc(slices.Clone(set.changes), func(c change) bool { return c.Action == "Remove" })
	for _, c := range present {
		s.schedule(token, c.LogicalID, c.ResourceType, statusOf(c)+"_IN_PROGRESS", "")
		// The first event has the physical ID.
		begin := s.steps[len(s.steps)-1]
		s.steps[len(s.steps)-1] = func() {
			s.assignID(set, c)
			begin()
		}
	}
	failed := -1
	for i, c := range present {
		reason, fails := s.server.fails(Phase(statusOf(c)), c.LogicalID)
		properties := set.template.Resources[c.LogicalID].Properties
		name, _ := s.resolve(properties[nameProperty(c.ResourceType)], set.parameters).(string)
		if !fails && c.Action == "Add" && s.server.existing[c.ResourceType+" "+name] {
			reason, fails = fmt.Sprintf("Resource handler returned message: \"Resource of type '%s' with identifier '%s' "+
				"already exists.\" (RequestToken: 0c1d, HandlerErrorCode: AlreadyExists)", c.ResourceType, name), true
		}
		if !fails && c.Action == "Modify" && s.deleted(c.LogicalID) {
			reason, fails = fmt.Sprintf("Resource handler returned message: \"%s not found (Service: Lambda, Status Code: 404, "+
				"Request ID: 0c1d)\" (RequestToken: 0c1d, HandlerErrorCode: NotFound)", c.PhysicalID), true
		}
		if fails {
			failed = i
			s.schedule(token, c.LogicalID, c.ResourceType, statusOf(c)+"_FAILED", reason)
			break
		}
		s.schedule(token, c.LogicalID, c.ResourceType, statusOf(c)+"_COMPLETE", "", func() { s.recordExisting(c) })
	}
	if failed < 0 {
		s.complete(set, phase, token)
		return
	}
	words := map[Phase]string{Create: "creation", Update: "update", Import: "import"}
	for _, c := range present[failed+1:] {
		s.schedule(
			token,
			c.LogicalID,
			c.ResourceType,
			statusOf(c)+"_FAILED",
			"Resource "+words[Phase(statusOf(c))]+" cancelled",
		)
	}
	s.rollback(set, phase, token, present[:failed], present[failed:], previous)
}

func statusOf(c change) string {
	return map[string]string{"Add": "CREATE", "Modify": "UPDATE", "Import": "IMPORT"}[c.Action]
}

// assignID sets the physical ID of the resource of a change.
func (s *stack) assignID(set *changeSet, c change) {
	if c.Action == "Modify" {
		return
	}
	physical := cmp.Or(set.imports[c.LogicalID], s.server.physical(s, c.LogicalID, set.template.Resources[c.LogicalID]))
	s.put(c.LogicalID, c.ResourceType, physical, "", "")
}

func (s *stack) recordExisting(c change) {
	s.server.existing[c.ResourceType+" "+s.resources[c.LogicalID].PhysicalResourceID] = true
}

// complete schedules the end of a successful operation.
func (s *stack) complete(set *changeSet, phase Phase, token string) {
	old := s.template
	finish := func() {
		s.template, s.body, s.tags, set.execution = set.template, set.body, set.tags, "EXECUTE_COMPLETE"
		s.markObsolete()
		if set.mode == revertDrift {
			s.drifted = nil
		}
	}
	if phase == Update {
		s.schedule(token, s.name, stackType, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "", finish)
		for _, c := range set.changes {
			if c.Action == "Remove" {
				s.delete(token, c.LogicalID, old.Resources[c.LogicalID].removed(), "")
			}
		}
	}
	s.schedule(token, s.name, stackType, string(phase)+"_COMPLETE", "", finish)
}

// rollback schedules the rollback of an operation in which the changes in done succeeded and those in failed did not.
func (s *stack) rollback(
	set *changeSet,
	phase Phase,
	token string,
	done, failed []change,
	parameters map[string]string,
) {
	start := map[Phase]string{Create: "ROLLBACK", Update: "UPDATE_ROLLBACK", Import: "IMPORT_ROLLBACK"}[phase]
	reason := fmt.Sprintf(
		"The following resource(s) failed to %s: [%s]. ",
		strings.ToLower(statusOf(failed[0])),
		failed[0].LogicalID,
	)
	if phase == Create {
		reason += "Rollback requested by user."
	}
	finish := func() {
		s.parameters, set.execution = parameters, "EXECUTE_FAILED"
		s.markObsolete()
	}
	s.schedule(token, s.name, stackType, start+"_IN_PROGRESS", reason)
	var stuck []string
	for _, c := range slices.Backward(append(slices.Clone(done), failed...)) {
		switch why, fails := s.server.fails(Rollback, c.LogicalID); {
		case fails:
			stuck = append(stuck, c.LogicalID)
			s.schedule(
				token,
				c.LogicalID,
				c.ResourceType,
				map[Phase]string{Create: "DELETE_FAILED", Update: "UPDATE_FAILED"}[phase],
				why,
			)
		case c.Action == "Import":
			s.schedule(token, c.LogicalID, c.ResourceType, "IMPORT_ROLLBACK_COMPLETE", "")
		case c.Action == "Modify":
			s.schedule(token, c.LogicalID, c.ResourceType, "UPDATE_COMPLETE", "")
		case phase == Create:
			s.delete(token, c.LogicalID, set.template.Resources[c.LogicalID], "")
		}
	}
	if len(stuck) > 0 {
		s.schedule(token, s.name, stackType, start+"_FAILED", fmt.Sprintf("The following resource(s) failed to %s: [%s]. ",
			map[Phase]string{Create: "delete", Update: "update"}[phase], strings.Join(stuck, ", ")), finish)
		return
	}
	if phase == Update {
		s.schedule(token, s.name, stackType, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "")
		for _, c := range slices.Backward(append(slices.Clone(done), failed...)) {
			if c.Action == "Add" {
				s.delete(token, c.LogicalID, set.template.Resources[c.LogicalID], "")
			}
		}
	}
	s.schedule(token, s.name, stackType, start+"_COMPLETE", "", finish)
}

// delete schedules the deletion of a resource and reports whether it will succeed.
func (s *stack) delete(token, id string, r templateResource, fails string) bool {
	if r.DeletionPolicy == "Retain" {
		s.schedule(token, id, r.Type, "DELETE_SKIPPED", "")
		return true
	}
	s.schedule(token, id, r.Type, "DELETE_IN_PROGRESS", "")
	if fails != "" {
		s.schedule(token, id, r.Type, "DELETE_FAILED", fails)
		return false
	}
	s.schedule(token, id, r.Type, "DELETE_COMPLETE", "", func() {
		delete(s.server.existing, r.Type+" "+s.resources[id].PhysicalResourceID)
	})
	return true
}

// remove schedules the deletion of the stack.
func (s *stack) remove(token string, retain []string) {
	s.steps = nil
	s.schedule(token, s.name, stackType, "DELETE_IN_PROGRESS", "User Initiated")
	var stuck []string
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(s.resources))) {
		if s.resources[id].deleted() {
			continue
		}
		r := s.template.Resources[id].removed()
		r.Type = s.resources[id].ResourceType
		if slices.Contains(retain, id) {
			r.DeletionPolicy = "Retain"
		}
		reason, _ := s.server.fails(Delete, id)
		if !s.delete(token, id, r, reason) {
			stuck = append(stuck, id)
		}
	}
	if len(stuck) > 0 {
		s.schedule(token, s.name, stackType, "DELETE_FAILED",
			fmt.Sprintf("The following resource(s) failed to delete: [%s]. ", strings.Join(stuck, ", ")))
		return
	}
	s.schedule(token, s.name, stackType, "DELETE_COMPLETE", "")
}
