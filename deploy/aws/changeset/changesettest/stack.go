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

	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"github.com/userrequestapi/userdata/deploy/cfn"
)

const stackType = "AWS::CloudFormation::Stack"

// template has the parts of a template that the server reads, without the resources and outputs that its conditions
// exclude.
type template struct {
	document   cfn.Object
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

// exclude removes the resources and outputs that the conditions exclude.
func (t *template) exclude(e *cfn.Evaluator) {
	maps.DeleteFunc(t.Resources, func(id string, _ templateResource) bool { return !e.Exists("Resources", id) })
	maps.DeleteFunc(t.Outputs, func(id string, _ struct{ Value any }) bool { return !e.Exists("Outputs", id) })
}

// afterCreation returns the resource with the DeletionPolicy that applies after its creation.
func (r templateResource) afterCreation() templateResource {
	if r.DeletionPolicy == "RetainExceptOnCreate" {
		r.DeletionPolicy = "Retain"
	}
	return r
}

func parse(body []byte) (*template, error) {
	t := new(template)
	document, err := cfn.ParseJSON(body)
	if err == nil {
		t.document, err = document, json.Unmarshal(body, t)
	}
	return t, err
}

func (t *template) order() []string { return slices.Sorted(maps.Keys(t.Resources)) }

// stackState is a stack. The server's lock protects all fields but its ID and name.
type stackState struct {
	id, name         string
	server           *CloudFormation
	status, reason   string
	created, updated time.Time
	template         *template
	body             string
	parameters, tags map[string]string
	resources        map[string]*resourceState
	events           []types.StackEvent
	sets             []*changeSet
	token            string              // ClientRequestToken of the operation
	steps            []func()            // the pending steps of the operation
	drifted          map[string][]string // property paths by logical ID; without paths, the resource was deleted
	compared         int                 // number of calls that described the drift detection
}

// deleted reports whether a resource was deleted outside of CloudFormation.
func (s *stackState) deleted(id string) bool {
	paths, ok := s.drifted[id]
	return ok && len(paths) == 0
}

func (s *stackState) driftStatus(id string) string {
	switch {
	case s.deleted(id):
		return "DELETED"
	case len(s.drifted[id]) > 0:
		return "MODIFIED"
	default:
		return "IN_SYNC"
	}
}

// resourceState has the fields of the API.
type resourceState struct {
	LogicalResourceID    string `xml:"LogicalResourceId"`
	PhysicalResourceID   string `xml:"PhysicalResourceId"`
	ResourceType         string
	ResourceStatus       string
	ResourceStatusReason string `xml:"ResourceStatusReason,omitempty"`
	LastUpdatedTimestamp time.Time
}

func (r *resourceState) deleted() bool {
	return slices.Contains(
		[]string{"DELETE_COMPLETE", "DELETE_SKIPPED", "IMPORT_FAILED", "IMPORT_ROLLBACK_COMPLETE"}, r.ResourceStatus)
}

type changeSet struct {
	id, name, token, kind     string
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
	Type         string
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

func (c *CloudFormation) newStack(name string) *stackState {
	c.serial++
	s := &stackState{
		id:     fmt.Sprintf("arn:aws:cloudformation:%s:%s:stack/%s/%08d", Region, Account, name, c.serial),
		name:   name,
		server: c, created: c.tick(), template: new(template), resources: make(map[string]*resourceState),
	}
	c.stacks = append(c.stacks, s)
	return s
}

// find returns the stack with a name or ID, or nil. A deleted stack is found by its ID only.
func (c *CloudFormation) find(id string) *stackState {
	for _, s := range slices.Backward(c.stacks) {
		if s.id == id || s.name == id && s.status != "DELETE_COMPLETE" {
			return s
		}
	}
	return nil
}

// physical returns the physical ID of a resource: the name in its properties, such as TableName, or a generated one.
func (s *stackState) physical(t *template, id string) string {
	if name := s.nameOf(t, id, s.parameters); name != "" {
		return name
	}
	s.server.serial++
	return fmt.Sprintf("%s-%s-%08d", s.name, id, s.server.serial)
}

// nameProperty returns the property that names a resource of a type, such as TableName; a CompositeAlarm has AlarmName.
func nameProperty(resourceType string) string {
	return strings.TrimPrefix(resourceType[strings.LastIndex(resourceType, ":")+1:], "Composite") + "Name"
}

// nameOf returns the name in the properties of a resource, or "" if it has none.
func (s *stackState) nameOf(t *template, id string, parameters map[string]string) string {
	e := s.evaluator(t, parameters)
	name := cfn.Text(e.Property(id, nameProperty(t.Resources[id].Type)))
	if e.Err() != nil {
		return ""
	}
	return name
}

// evaluator evaluates a template. The value of a resource is its physical ID.
func (s *stackState) evaluator(t *template, parameters map[string]string) *cfn.Evaluator {
	values := map[string]any{
		"AWS::AccountId": Account, "AWS::Partition": "aws", "AWS::Region": Region, "AWS::StackId": s.id,
		"AWS::StackName": s.name, "AWS::URLSuffix": "amazonaws.com",
	}
	maps.Copy(values, cfn.Refs(cfn.Mapping(t.document, "Parameters"), parameters))
	return cfn.NewEvaluator(t.document, values, func(_ *cfn.Evaluator, id, attribute string) (any, error) {
		r := s.resources[id]
		if r == nil {
			return nil, fmt.Errorf("%s does not exist yet", id)
		}
		return strings.TrimSuffix(r.PhysicalResourceID+"."+attribute, "."), nil
	})
}

func (s *stackState) put(id, kind, physical, status, reason string) {
	r := s.resources[id]
	if r == nil {
		r = &resourceState{LogicalResourceID: id}
		s.resources[id] = r
	}
	r.ResourceType, r.PhysicalResourceID, r.ResourceStatus, r.ResourceStatusReason = kind, physical, status, reason
	r.LastUpdatedTimestamp = s.server.now
}

// event appends an event and sets the status of its resource or the stack.
func (s *stackState) event(id, physical, kind, status, reason, token string) {
	c := s.server
	c.serial++
	s.events = append(s.events, types.StackEvent{
		StackId: &s.id, EventId: new(fmt.Sprintf("event-%08d", c.serial)), StackName: &s.name, LogicalResourceId: &id,
		PhysicalResourceId: &physical, ResourceType: &kind, Timestamp: new(c.tick()),
		ResourceStatus: types.ResourceStatus(status), ResourceStatusReason: optional(reason),
		ClientRequestToken: optional(token),
	})
	if physical == s.id {
		s.status, s.reason, s.updated = status, reason, c.now
	} else {
		s.put(id, kind, physical, status, reason)
	}
}

// optional returns nil for "", which the response omits.
func optional(value string) *string {
	if value == "" {
		return nil
	}
	return &value
}

// schedule appends a step with an event of the stack.
func (s *stackState) schedule(status, reason string, also ...func()) {
	s.scheduleResource(s.name, stackType, status, reason, also...)
}

// scheduleResource appends a step with an event of a resource.
func (s *stackState) scheduleResource(id, kind, status, reason string, also ...func()) {
	token := s.token
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
func (s *stackState) poll() {
	for range s.server.pace {
		s.advance()
	}
}

func (s *stackState) advance() bool {
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
func (s *stackState) pending() []*changeSet {
	return slices.DeleteFunc(slices.Clone(s.sets), func(set *changeSet) bool {
		return strings.HasPrefix(set.execution, "EXECUTE_")
	})
}

// markObsolete marks the change sets that have not been executed as obsolete.
func (s *stackState) markObsolete() {
	for _, other := range s.pending() {
		other.execution = "OBSOLETE"
	}
}

// compare sets the changes of a change set.
func (s *stackState) compare(set *changeSet) {
	old, next := s.template, set.template
	oldValues, newValues := s.evaluator(old, s.parameters), s.evaluator(next, set.parameters)
	for _, id := range next.order() {
		r := next.Resources[id]
		_, ok := old.Resources[id]
		c := change{Action: "Modify", LogicalID: id, ResourceType: r.Type, Type: "Resource"}
		switch {
		case set.imports[id] != "":
			c.Action, c.PhysicalID = "Import", set.imports[id]
		case !ok:
			c.Action = "Add"
		default:
			c.Replacement, c.PhysicalID = "False", s.resources[id].PhysicalResourceID
			before, after := oldValues.Properties(id), newValues.Properties(id)
			for _, property := range union(before, after) {
				if reflect.DeepEqual(before[property], after[property]) {
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
				PolicyAction: cmp.Or(old.Resources[id].afterCreation().DeletionPolicy, "Delete"),
			})
		}
	}
	if set.kind == "IMPORT" && slices.ContainsFunc(set.changes, func(c change) bool { return c.Action != "Import" }) {
		set.status, set.execution, set.changes = "FAILED", "UNAVAILABLE", nil
		set.reason = "As part of the import operation, you cannot modify or add [Resources]"
	}
}

// revert adds to a change of a drift-aware change set the changes that revert the drift of its resource. It reports
// whether that is possible.
func (s *stackState) revert(set *changeSet, c *change) bool {
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

func union(a, b map[string]any) []string {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	return slices.Compact(keys)
}

// execute schedules the execution of a change set.
func (s *stackState) execute(set *changeSet) {
	phase := Phase(set.kind)
	set.execution, set.executed = "EXECUTE_IN_PROGRESS", s.token
	s.markObsolete()
	previous := s.parameters
	s.schedule(set.kind+"_IN_PROGRESS", "User Initiated", func() { s.parameters = set.parameters })
	present := slices.DeleteFunc(slices.Clone(set.changes), func(c change) bool { return c.Action == "Remove" })
	for _, c := range present {
		s.scheduleResource(c.LogicalID, c.ResourceType, statusOf(c)+"_IN_PROGRESS", "")
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
		name := s.nameOf(set.template, c.LogicalID, set.parameters)
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
			s.scheduleResource(c.LogicalID, c.ResourceType, statusOf(c)+"_FAILED", reason)
			break
		}
		s.scheduleResource(c.LogicalID, c.ResourceType, statusOf(c)+"_COMPLETE", "", func() { s.recordExisting(c) })
	}
	if failed < 0 {
		s.complete(set, phase)
		return
	}
	for _, c := range present[failed+1:] {
		word := map[string]string{"Add": "creation", "Modify": "update", "Import": "import"}[c.Action]
		s.scheduleResource(c.LogicalID, c.ResourceType, statusOf(c)+"_FAILED", "Resource "+word+" cancelled")
	}
	s.rollback(set, phase, present[:failed], present[failed:], previous)
}

func statusOf(c change) string {
	return map[string]string{"Add": "CREATE", "Modify": "UPDATE", "Import": "IMPORT"}[c.Action]
}

// assignID sets the physical ID of the resource of a change.
func (s *stackState) assignID(set *changeSet, c change) {
	if c.Action == "Modify" {
		return
	}
	physical := cmp.Or(set.imports[c.LogicalID], s.physical(set.template, c.LogicalID))
	s.put(c.LogicalID, c.ResourceType, physical, "", "")
}

func (s *stackState) recordExisting(c change) {
	s.server.existing[c.ResourceType+" "+s.resources[c.LogicalID].PhysicalResourceID] = true
}

// complete schedules the end of a successful operation.
func (s *stackState) complete(set *changeSet, phase Phase) {
	old := s.template
	finish := func() {
		s.template, s.body, s.tags, set.execution = set.template, set.body, set.tags, "EXECUTE_COMPLETE"
		s.markObsolete()
		if set.mode == revertDrift {
			s.drifted = nil
		}
	}
	if phase == Update {
		s.schedule("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "", finish)
		for _, c := range set.changes {
			if c.Action == "Remove" {
				s.delete(c.LogicalID, old.Resources[c.LogicalID].afterCreation(), "")
			}
		}
	}
	s.schedule(string(phase)+"_COMPLETE", "", finish)
}

// rollback schedules the rollback of an operation in which the changes in done succeeded and those in failed did not.
func (s *stackState) rollback(set *changeSet, phase Phase, done, failed []change, parameters map[string]string) {
	start := map[Phase]string{Create: "ROLLBACK", Update: "UPDATE_ROLLBACK", Import: "IMPORT_ROLLBACK"}[phase]
	reason := stuckReason(strings.ToLower(statusOf(failed[0])), failed[0].LogicalID)
	if phase == Create {
		reason += "Rollback requested by user."
	}
	finish := func() {
		s.parameters, set.execution = parameters, "EXECUTE_FAILED"
		s.markObsolete()
	}
	s.schedule(start+"_IN_PROGRESS", reason)
	var stuck []string
	for _, c := range slices.Backward(append(slices.Clone(done), failed...)) {
		switch why, fails := s.server.fails(Rollback, c.LogicalID); {
		case fails:
			stuck = append(stuck, c.LogicalID)
			status := map[Phase]string{Create: "DELETE_FAILED", Update: "UPDATE_FAILED"}[phase]
			s.scheduleResource(c.LogicalID, c.ResourceType, status, why)
		case c.Action == "Import":
			s.scheduleResource(c.LogicalID, c.ResourceType, "IMPORT_ROLLBACK_COMPLETE", "")
		case c.Action == "Modify":
			s.scheduleResource(c.LogicalID, c.ResourceType, "UPDATE_COMPLETE", "")
		case phase == Create:
			s.delete(c.LogicalID, set.template.Resources[c.LogicalID], "")
		}
	}
	if len(stuck) > 0 {
		verb := map[Phase]string{Create: "delete", Update: "update"}[phase]
		s.schedule(start+"_FAILED", stuckReason(verb, stuck...), finish)
		return
	}
	if phase == Update {
		s.schedule("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "")
		for _, c := range slices.Backward(append(slices.Clone(done), failed...)) {
			if c.Action == "Add" {
				s.delete(c.LogicalID, set.template.Resources[c.LogicalID], "")
			}
		}
	}
	s.schedule(start+"_COMPLETE", "", finish)
}

func stuckReason(verb string, ids ...string) string {
	return fmt.Sprintf("The following resource(s) failed to %s: [%s]. ", verb, strings.Join(ids, ", "))
}

// delete schedules the deletion of a resource, which fails for reason unless that is "". It reports whether the
// deletion will succeed.
func (s *stackState) delete(id string, r templateResource, reason string) bool {
	if r.DeletionPolicy == "Retain" {
		s.scheduleResource(id, r.Type, "DELETE_SKIPPED", "")
		return true
	}
	s.scheduleResource(id, r.Type, "DELETE_IN_PROGRESS", "")
	if reason != "" {
		s.scheduleResource(id, r.Type, "DELETE_FAILED", reason)
		return false
	}
	s.scheduleResource(id, r.Type, "DELETE_COMPLETE", "", func() {
		delete(s.server.existing, r.Type+" "+s.resources[id].PhysicalResourceID)
	})
	return true
}

// remove schedules the deletion of the stack.
func (s *stackState) remove(retain []string) {
	s.steps = nil
	s.schedule("DELETE_IN_PROGRESS", "User Initiated")
	var stuck []string
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(s.resources))) {
		if s.resources[id].deleted() {
			continue
		}
		r := s.template.Resources[id].afterCreation()
		r.Type = s.resources[id].ResourceType
		if slices.Contains(retain, id) {
			r.DeletionPolicy = "Retain"
		}
		reason, _ := s.server.fails(Delete, id)
		if !s.delete(id, r, reason) {
			stuck = append(stuck, id)
		}
	}
	if len(stuck) > 0 {
		s.schedule("DELETE_FAILED", stuckReason("delete", stuck...))
		return
	}
	s.schedule("DELETE_COMPLETE", "")
}
