package changesettest

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"github.com/userrequestapi/userdata/deploy/cfn"
)

// respond executes a call and returns its result.
func (c *CloudFormation) respond(action string, form url.Values) (any, *Fault) {
	defer c.lock()()
	if do := map[string]func(url.Values) (any, *Fault){
		"CreateChangeSet": c.createChangeSet, "DeleteChangeSet": c.deleteChangeSet, "DeleteStack": c.deleteStack,
		"DescribeChangeSet": c.describeChangeSet, "DescribeEvents": c.describeEvents,
		"DescribeStackDriftDetectionStatus": c.describeStackDriftDetectionStatus, "ExecuteChangeSet": c.executeChangeSet,
	}[action]; do != nil {
		return do(form)
	}
	missing := "Stack [%s] does not exist"
	if action == "DescribeStacks" || action == "GetTemplate" || action == "ListStackResources" {
		missing = "Stack with id %s does not exist"
	}
	do := map[string]func(*stackState, url.Values) (any, *Fault){
		"ContinueUpdateRollback": (*stackState).continueUpdateRollback, "DescribeStackEvents": (*stackState).describeEvents,
		"DescribeStackResourceDrifts": (*stackState).describeResourceDrifts, "DescribeStacks": (*stackState).describe,
		"DetectStackDrift": (*stackState).detectDrift, "GetTemplate": (*stackState).getTemplate,
		"ListChangeSets": (*stackState).listChangeSets, "ListStackResources": (*stackState).listResources,
	}[action]
	s := c.find(form.Get("StackName"))
	switch {
	case do == nil:
		return nil, refuse("InvalidAction", "Could not find operation %s", action)
	case s == nil:
		return nil, invalid(missing, form.Get("StackName"))
	}
	return do(s, form)
}

// page returns a page of a list and the token of the next page.
func page[E any](c *CloudFormation, form url.Values, all []E) ([]E, string) {
	start, _ := strconv.Atoi(form.Get("NextToken"))
	start = min(start, len(all))
	end := min(start+c.pageSize, len(all))
	if end == len(all) {
		return all[start:], ""
	}
	return all[start:end], strconv.Itoa(end)
}

func pairs[E any](of map[string]string, member func(key, value string) E) []E {
	var all []E
	for _, key := range slices.Sorted(maps.Keys(of)) {
		all = append(all, member(key, of[key]))
	}
	return all
}

type stackMember struct {
	StackID           string `xml:"StackId"`
	StackName         string
	CreationTime      time.Time
	LastUpdatedTime   time.Time
	StackStatus       string
	StackStatusReason string            `xml:"StackStatusReason,omitempty"`
	Parameters        []types.Parameter `xml:"Parameters>member"`
	Outputs           []types.Output    `xml:"Outputs>member"`
	Tags              []types.Tag       `xml:"Tags>member"`
}

func (s *stackState) describe(url.Values) (any, *Fault) {
	s.poll()
	outputs := make(map[string]string)
	e := s.evaluator(s.template, s.parameters)
	for key, output := range s.template.Outputs {
		outputs[key] = cfn.Text(e.Value("Outputs."+key, output.Value))
	}
	return struct {
		Stacks []stackMember `xml:"Stacks>member"`
	}{[]stackMember{{
		StackID: s.id, StackName: s.name, CreationTime: s.created, LastUpdatedTime: s.updated, StackStatus: s.status,
		StackStatusReason: s.reason,
		Parameters: pairs(s.parameters, func(key, value string) types.Parameter {
			return types.Parameter{ParameterKey: &key, ParameterValue: &value}
		}),
		Outputs: pairs(outputs, func(key, value string) types.Output {
			return types.Output{OutputKey: &key, OutputValue: &value}
		}),
		Tags: pairs(s.tags, func(key, value string) types.Tag { return types.Tag{Key: &key, Value: &value} }),
	}}}, nil
}

func (s *stackState) describeEvents(form url.Values) (any, *Fault) {
	if form.Get("NextToken") == "" {
		s.poll()
	}
	latest := slices.Clone(s.events)
	slices.Reverse(latest)
	events, next := page(s.server, form, latest)
	return struct {
		StackEvents []types.StackEvent `xml:"StackEvents>member"`
		NextToken   string             `xml:"NextToken,omitempty"`
	}{events, next}, nil
}

func (s *stackState) listResources(form url.Values) (any, *Fault) {
	var all []resourceState
	for _, id := range slices.Sorted(maps.Keys(s.resources)) {
		all = append(all, *s.resources[id])
	}
	resources, next := page(s.server, form, all)
	return struct {
		Resources []resourceState `xml:"StackResourceSummaries>member"`
		NextToken string          `xml:"NextToken,omitempty"`
	}{resources, next}, nil
}

func (s *stackState) getTemplate(url.Values) (any, *Fault) {
	return struct{ TemplateBody string }{s.body}, nil
}

// updatable reports whether a change set can be created or executed for a stack with resources in this status.
func updatable(status string) bool {
	return slices.Contains([]string{
		"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE", "IMPORT_ROLLBACK_COMPLETE",
		"UPDATE_FAILED",
	}, status)
}

func (c *CloudFormation) createChangeSet(form url.Values) (any, *Fault) {
	name, kind := form.Get("StackName"), form.Get("ChangeSetType")
	set := &changeSet{
		name: form.Get("ChangeSetName"), token: form.Get("ClientToken"), kind: kind,
		mode: form.Get("DeploymentMode"), status: "CREATE_IN_PROGRESS", execution: "UNAVAILABLE",
		body:       form.Get("TemplateBody"),
		parameters: values(form, "Parameters", "ParameterKey", "ParameterValue"), tags: values(form, "Tags", "Key", "Value"),
		imports: make(map[string]string),
	}
	s := c.find(name)
	if fault := checkType(s, name, set); fault != nil {
		return nil, fault
	}
	if s != nil {
		for _, other := range s.sets {
			if other.name != set.name {
				continue
			}
			if other.token != set.token {
				return nil, refuse("AlreadyExistsException",
					"ChangeSet %s cannot be created due to a mismatch with existing attribute ClientToken", set.name)
			}
			return created(s, other), nil
		}
	}
	if fault := c.readTemplate(set, form); fault != nil {
		return nil, fault
	}
	if s == nil {
		s = c.newStack(name)
		s.event(s.name, s.id, stackType, "REVIEW_IN_PROGRESS", "User Initiated", "")
	}
	set.template.exclude(s.evaluator(set.template, set.parameters))
	if set.kind == "IMPORT" && len(set.template.Outputs) > 0 &&
		!reflect.DeepEqual(set.template.Outputs, s.template.Outputs) {
		return nil, invalid("As part of the import operation, you cannot modify or add [Outputs]")
	}
	c.serial++
	set.id = fmt.Sprintf("arn:aws:cloudformation:%s:%s:changeSet/%s/%08d", Region, Account, set.name, c.serial)
	set.created = c.tick()
	s.sets = append(s.sets, set)
	return created(s, set), nil
}

func created(s *stackState, set *changeSet) any {
	return struct {
		ID      string `xml:"Id"`
		StackID string `xml:"StackId"`
	}{set.id, s.id}
}

// checkType returns the fault of a change set whose type does not fit the stack, which is nil if it does not exist.
func checkType(s *stackState, name string, set *changeSet) *Fault {
	switch {
	case s == nil && set.kind == "UPDATE":
		return invalid("Stack [%s] does not exist", name)
	case s == nil, s.status == "REVIEW_IN_PROGRESS" && set.kind != "UPDATE":
		return nil
	case set.kind == "CREATE":
		return invalid("Stack [%s] already exists and cannot be created again with the changeSet [%s].", name, set.name)
	case !updatable(s.status):
		return invalid("Stack:%s is in %s state and can not be updated.", s.id, s.status)
	}
	return nil
}

// readTemplate parses the template of a change set and checks its parameters.
func (c *CloudFormation) readTemplate(set *changeSet, form url.Values) *Fault {
	if len(set.body) > 51200 {
		return invalid("1 validation error detected: Value '%.20s…' at 'templateBody' failed to satisfy constraint: "+
			"Member must have length less than or equal to 51200", set.body)
	}
	if address := form.Get("TemplateURL"); address != "" {
		body, err := fetch(address)
		if err != nil {
			return invalid("S3 error: Access Denied\nFor more information check " +
				"http://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html")
		}
		set.body = body
	}
	t, err := parse([]byte(set.body))
	if err != nil {
		return invalid("Template format error: JSON not well-formed. (line 1, column 2)")
	}
	set.template = t
	var missing, unknown []string
	for _, name := range slices.Sorted(maps.Keys(t.Parameters)) {
		if _, ok := set.parameters[name]; ok {
			continue
		}
		if t.Parameters[name].Default == nil {
			missing = append(missing, name)
		}
		set.parameters[name] = cfn.Text(t.Parameters[name].Default)
	}
	for _, name := range slices.Sorted(maps.Keys(set.parameters)) {
		if _, ok := t.Parameters[name]; !ok {
			unknown = append(unknown, name)
		}
	}
	if len(missing) > 0 {
		return invalid("Parameters: [%s] must have values", strings.Join(missing, ", "))
	}
	if len(unknown) > 0 {
		return invalid("Parameters: [%s] do not exist in the template", strings.Join(unknown, ", "))
	}
	return checkCapabilities(t, names(form, "Capabilities"), set, form)
}

// checkCapabilities checks the capabilities and the resources to import.
func checkCapabilities(t *template, capabilities []string, set *changeSet, form url.Values) *Fault {
	for _, r := range t.Resources {
		needed := "CAPABILITY_IAM"
		if r.Properties["RoleName"] != nil {
			needed = "CAPABILITY_NAMED_IAM"
		}
		if strings.HasPrefix(r.Type, "AWS::IAM::") && !slices.Contains(capabilities, needed) {
			return refuse("InsufficientCapabilitiesException", "Requires capabilities : [%s]", needed)
		}
	}
	for _, member := range members(form, "ResourcesToImport") {
		id := member["LogicalResourceId"]
		if t.Resources[id].DeletionPolicy == "" {
			return invalid(
				"The following resources to import [%s] must have DeletionPolicy attribute specified in the template.", id)
		}
		set.imports[id] = member["ResourceIdentifier.entry.1.value"]
	}
	switch {
	case set.kind != "IMPORT":
	case len(set.imports) == 0:
		return invalid("Must Provide at least one resource to import")
	case len(set.tags) > 0:
		return invalid("As part of the import operation, you cannot modify or add [Tags]")
	}
	return nil
}

func fetch(address string) (string, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(address) //nolint:noctx // a server of the test
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", errors.New(response.Status)
	}
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// set returns the change set with a name or ARN, and its stack.
func (c *CloudFormation) set(form url.Values) (*stackState, *changeSet, *Fault) {
	name := form.Get("ChangeSetName")
	for _, s := range c.stacks {
		if stackName := form.Get("StackName"); stackName != "" && c.find(stackName) != s {
			continue
		}
		for _, set := range s.sets {
			if set.id == name || set.name == name && form.Get("StackName") != "" {
				return s, set, nil
			}
		}
	}
	return nil, nil, &Fault{Status: 404, Code: "ChangeSetNotFound", Message: "ChangeSet [" + name + "] does not exist"}
}

func (c *CloudFormation) describeChangeSet(form url.Values) (any, *Fault) {
	s, set, fault := c.set(form)
	if fault != nil {
		return nil, fault
	}
	if set.ready && set.status == "CREATE_IN_PROGRESS" {
		c.finish(s, set)
	}
	set.ready = true
	changes, next := page(c, form, set.changes)
	return struct {
		ChangeSetID     string `xml:"ChangeSetId"`
		ChangeSetName   string
		StackID         string `xml:"StackId"`
		StackName       string
		Status          string
		StatusReason    string `xml:"StatusReason,omitempty"`
		ExecutionStatus string
		DeploymentMode  string   `xml:"DeploymentMode,omitempty"`
		Changes         []change `xml:"Changes>member"`
		NextToken       string   `xml:"NextToken,omitempty"`
	}{set.id, set.name, s.id, s.name, set.status, set.reason, set.execution, set.mode, changes, next}, nil
}

// finish completes the creation of a change set.
func (c *CloudFormation) finish(s *stackState, set *changeSet) {
	set.status, set.execution = "CREATE_COMPLETE", "AVAILABLE"
	switch {
	case len(c.rejected) > 0:
		set.status, set.execution = "FAILED", "UNAVAILABLE"
		set.reason, set.details, c.rejected = c.rejected[0].reason, c.rejected[0].details, c.rejected[1:]
	case set.kind == "UPDATE" && set.body == s.body && maps.Equal(set.parameters, s.parameters) &&
		maps.Equal(set.tags, s.tags) && (set.mode != revertDrift || len(s.drifted) == 0):
		set.status, set.execution = "FAILED", "UNAVAILABLE"
		set.reason = "The submitted information didn't contain changes. Submit different information to create a change set."
	default:
		s.compare(set)
	}
}

func (c *CloudFormation) describeEvents(form url.Values) (any, *Fault) {
	if !strings.HasPrefix(form.Get("ChangeSetName"), "arn:") {
		return nil, invalid("One of ChangeSetName, OperationId or StackName must be specified")
	}
	_, set, fault := c.set(form)
	if fault != nil {
		return nil, fault
	}
	var events []types.OperationEvent
	for i, detail := range set.details {
		id, reason, _ := strings.Cut(detail, ": ")
		events = append(events, types.OperationEvent{
			EventId: new(strconv.Itoa(i)), EventType: "VALIDATION_ERROR", LogicalResourceId: &id,
			ResourceType: new(set.template.Resources[id].Type), ValidationName: new("NAME_CONFLICT_VALIDATION"),
			ValidationStatus: "FAILED", ValidationStatusReason: &reason, ValidationPath: new("/Resources/" + id),
		})
	}
	return struct {
		OperationEvents []types.OperationEvent `xml:"OperationEvents>member"`
	}{events}, nil
}

func (s *stackState) listChangeSets(form url.Values) (any, *Fault) {
	var all []types.ChangeSetSummary
	for _, set := range s.pending() {
		all = append(all, types.ChangeSetSummary{
			ChangeSetId: &set.id, ChangeSetName: &set.name, StackId: &s.id, Status: types.ChangeSetStatus(set.status),
			ExecutionStatus: types.ExecutionStatus(set.execution), CreationTime: new(set.created),
		})
	}
	summaries, next := page(s.server, form, all)
	return struct {
		Summaries []types.ChangeSetSummary `xml:"Summaries>member"`
		NextToken string                   `xml:"NextToken,omitempty"`
	}{summaries, next}, nil
}

func (c *CloudFormation) deleteChangeSet(form url.Values) (any, *Fault) {
	s, set, fault := c.set(form)
	if fault != nil {
		return struct{}{}, nil // deleting a missing change set succeeds
	}
	if strings.HasPrefix(set.execution, "EXECUTE_") {
		return nil, refuse("InvalidChangeSetStatus",
			"ChangeSet [%s] cannot be deleted in its current execution status of [%s]", set.id, set.execution)
	}
	s.sets = slices.DeleteFunc(s.sets, func(other *changeSet) bool { return other == set })
	return struct{}{}, nil
}

func (c *CloudFormation) executeChangeSet(form url.Values) (any, *Fault) {
	s, set, fault := c.set(form)
	if fault != nil {
		return nil, fault
	}
	token := form.Get("ClientRequestToken")
	switch {
	case set.executed != "" && set.executed == token:
		return struct{}{}, nil
	case set.execution != "AVAILABLE":
		return nil, refuse("InvalidChangeSetStatus",
			"ChangeSet [%s] cannot be executed in its current execution status of [%s]", set.id, set.execution)
	case !updatable(s.status) && s.status != "REVIEW_IN_PROGRESS", len(s.steps) > 0:
		return nil, invalid("Stack:%s is in %s state and can not be updated.", s.id, s.status)
	}
	s.token = token
	s.execute(set)
	return struct{}{}, nil
}

func (s *stackState) continueUpdateRollback(form url.Values) (any, *Fault) {
	if s.status != "UPDATE_ROLLBACK_FAILED" {
		return nil, invalid("Stack:%s is in %s state and can not continue rolling back.", s.id, s.status)
	}
	s.token = form.Get("ClientRequestToken")
	s.schedule("UPDATE_ROLLBACK_IN_PROGRESS", "User Initiated")
	var stuck []string
	for _, id := range slices.Sorted(maps.Keys(s.resources)) {
		r := s.resources[id]
		if r.ResourceStatus != "UPDATE_FAILED" || slices.Contains(names(form, "ResourcesToSkip"), id) {
			continue
		}
		if reason, fails := s.server.fails(Rollback, id); fails {
			stuck = append(stuck, id)
			s.scheduleResource(id, r.ResourceType, "UPDATE_FAILED", reason)
			continue
		}
		s.scheduleResource(id, r.ResourceType, "UPDATE_COMPLETE", "")
	}
	if len(stuck) > 0 {
		s.schedule("UPDATE_ROLLBACK_FAILED", stuckReason("update", stuck...))
		return struct{}{}, nil
	}
	s.schedule("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "")
	s.schedule("UPDATE_ROLLBACK_COMPLETE", "")
	return struct{}{}, nil
}

func (c *CloudFormation) deleteStack(form url.Values) (any, *Fault) {
	s := c.find(form.Get("StackName"))
	if s == nil || s.status == "DELETE_COMPLETE" {
		return struct{}{}, nil
	}
	retain := names(form, "RetainResources")
	switch {
	case len(retain) > 0 && s.status != "DELETE_FAILED":
		return nil, invalid("Invalid operation on stack [%s]. Resources can only be retained in a DELETE_FAILED stack", s.id)
	case strings.HasPrefix(s.status, "UPDATE_") && strings.HasSuffix(s.status, "_IN_PROGRESS"):
		return nil, invalid("Stack [%s] cannot be deleted while in status %s", s.id, s.status)
	case s.status == "DELETE_IN_PROGRESS":
		return struct{}{}, nil
	}
	s.token = form.Get("ClientRequestToken")
	s.remove(retain)
	return struct{}{}, nil
}

// detectDrift starts a drift detection; the first call that describes it finds it in progress.
func (s *stackState) detectDrift(url.Values) (any, *Fault) {
	s.compared = 0
	return struct {
		ID string `xml:"StackDriftDetectionId"`
	}{s.id}, nil
}

func (c *CloudFormation) describeStackDriftDetectionStatus(form url.Values) (any, *Fault) {
	s := c.find(form.Get("StackDriftDetectionId"))
	if s == nil {
		return nil, invalid("StackDriftDetectionId [%s] does not exist", form.Get("StackDriftDetectionId"))
	}
	status := "DETECTION_COMPLETE"
	if s.compared == 0 {
		status = "DETECTION_IN_PROGRESS"
	}
	s.compared++
	drift := "IN_SYNC"
	if len(s.drifted) > 0 {
		drift = "DRIFTED"
	}
	return struct {
		StackID          string `xml:"StackId"`
		ID               string `xml:"StackDriftDetectionId"`
		DetectionStatus  string
		StackDriftStatus string
		Timestamp        time.Time
	}{s.id, s.id, status, drift, c.now}, nil
}

func (s *stackState) describeResourceDrifts(form url.Values) (any, *Fault) {
	type drifted struct {
		StackID           string `xml:"StackId"`
		LogicalResourceID string `xml:"LogicalResourceId"`
		ResourceType      string
		Status            string                     `xml:"StackResourceDriftStatus"`
		Differences       []types.PropertyDifference `xml:"PropertyDifferences>member"`
		Timestamp         time.Time
	}
	var all []drifted
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(s.drifted))) {
		d := drifted{
			StackID: s.id, LogicalResourceID: id, ResourceType: s.resources[id].ResourceType, Status: s.driftStatus(id),
			Timestamp: s.server.now,
		}
		for _, path := range s.drifted[id] {
			d.Differences = append(d.Differences, types.PropertyDifference{
				PropertyPath: &path, ExpectedValue: new("1"), ActualValue: new("2"), DifferenceType: "NOT_EQUAL",
			})
		}
		all = append(all, d)
	}
	drifts, next := page(s.server, form, all)
	return struct {
		Drifts    []drifted `xml:"StackResourceDrifts>member"`
		NextToken string    `xml:"NextToken,omitempty"`
	}{drifts, next}, nil
}
