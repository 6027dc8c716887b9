package template

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
	"time"
)

// Types of resources.
const (
	functionType = "AWS::Lambda::Function"
	versionType  = "AWS::Lambda::Version"
	aliasType    = "AWS::Lambda::Alias"
	tableType    = "AWS::DynamoDB::Table"

	samplingRuleType = "AWS::XRay::SamplingRule"
)

// existingTableParameter is the parameter with the name of an existing table to use.
const existingTableParameter = "ExistingTableName"

// PseudoParameters are the values of pseudo parameters ("Pseudo parameters reference"). The zero value is for callers
// that do not need names and ARNs of a specific account.
type PseudoParameters struct {
	Region    string // AWS::Region; empty means us-east-1
	AccountID string // AWS::AccountId; empty means 000000000000
	Partition string // AWS::Partition; empty means aws
	URLSuffix string // AWS::URLSuffix; empty means amazonaws.com
	StackName string // AWS::StackName; empty means UserRequestAPI
	StackID   string // AWS::StackId; empty means one derived from the others
}

// Stack has the evaluated resources of the template that the local stack needs.
type Stack struct {
	functions []Function
	table     Table
	api       API
}

// Functions returns the functions, sorted by logical id.
func (s *Stack) Functions() []Function { return s.functions }

// Table returns the table of the users.
func (s *Stack) Table() Table { return s.table }

// API returns the REST API and its stage.
func (s *Stack) API() API { return s.api }

// Function is the configuration of a function (AWS::Lambda::Function).
type Function struct {
	LogicalID           string
	Name                string
	ARN                 string // of its alias, by which it is invoked
	Source              string // folder of its main package, relative to template.yaml; "" if it is packaged
	Runtime             string // such as provided.al2023
	Handler             string
	Architecture        string // arm64 or x86_64
	MemoryMB            int
	Timeout             time.Duration
	Environment         map[string]string
	ReservedConcurrency *int // nil if none is reserved
	Tracing             bool // mode Active: Lambda samples requests without a sampling decision
	Logging             Logging
}

// Logging is the LoggingConfig of a function.
type Logging struct {
	Group            string
	Format           string // Text or JSON
	ApplicationLevel string // the minimum level of the function's own lines that Lambda keeps; "" for Format Text
}

// Table is a DynamoDB table.
type Table struct {
	LogicalID  string // "" for an existing table (ExistingTableName), for which Properties are the expected ones
	Name       string
	ARN        string
	Properties map[string]any // of AWS::DynamoDB::Table, a superset of the input of CreateTable
}

// API is a REST API with its stage.
type API struct {
	ID             string
	Name           string
	Body           []byte // the OpenAPI document with API Gateway's extensions, in JSON
	DeploymentID   string
	Stage          string
	StageVariables map[string]string
	Tracing        bool
	Sampling       Sampling

	// AccessLogFormat is one line with $context variables, or "" if the stage has no access log.
	AccessLogFormat string

	// The rate limit of the stage in requests per second, and its burst limit in requests; 0 means no limit.
	ThrottlingRateLimit  float64
	ThrottlingBurstLimit int
}

// Sampling is the sampling rule for requests without a sampling decision (AWS::XRay::SamplingRule).
type Sampling struct {
	ReservoirSize int     // requests traced per second before FixedRate applies
	FixedRate     float64 // share of the other requests that is traced, 0 to 1
}

// Resolve evaluates the template for the given pseudo parameters, as CloudFormation does. The error has the path in the
// template and, if one is not supported, the intrinsic function.
func (r *Rendered) Resolve(place PseudoParameters) (*Stack, error) {
	place.Region = cmp.Or(place.Region, "us-east-1")
	place.AccountID = cmp.Or(place.AccountID, "000000000000")
	place.StackName = cmp.Or(place.StackName, "UserRequestAPI")
	place.Partition = cmp.Or(place.Partition, "aws")
	place.URLSuffix = cmp.Or(place.URLSuffix, "amazonaws.com")
	place.StackID = cmp.Or(place.StackID, fmt.Sprintf("arn:%s:cloudformation:%s:%s:stack/%s/%s",
		place.Partition, place.Region, place.AccountID, place.StackName, identifier(10, place.StackName)))
	e := &evaluator{
		document:   r.document,
		parameters: r.parameters,
		pseudo: map[string]any{
			"AWS::Region":           place.Region,
			"AWS::AccountId":        place.AccountID,
			"AWS::Partition":        place.Partition,
			"AWS::URLSuffix":        place.URLSuffix,
			"AWS::StackName":        place.StackName,
			"AWS::StackId":          place.StackID,
			"AWS::NotificationARNs": []any{},
			"AWS::NoValue":          noValue{},
		},
		physical: placed{place},
	}
	s := &Stack{}
	ids, err := e.all(functionType)
	if err != nil {
		return nil, fmt.Errorf("resolve: %w", err)
	}
	for _, id := range ids {
		f, err := e.function(id)
		if err != nil {
			return nil, fmt.Errorf("resolve: %w", err)
		}
		s.functions = append(s.functions, f)
	}
	if s.table, err = e.table(); err != nil {
		return nil, fmt.Errorf("resolve: %w", err)
	}
	if s.api, err = e.api(); err != nil {
		return nil, fmt.Errorf("resolve: %w", err)
	}
	return s, nil
}

// placed returns the names and ARNs of resources for given pseudo parameters ("Return values" of each resource type).
type placed struct{ PseudoParameters }

func (p placed) ref(e *evaluator, id string) (any, error) {
	resourceType := e.resource(id)["Type"]
	if property := nameProperty(resourceType); property != "" {
		return p.name(e, id, property)
	}
	switch resourceType {
	case aliasType: // its ARN
		function, err := e.property(id, "FunctionName")
		if err != nil {
			return nil, err
		}
		name, err := e.property(id, "Name")
		return fmt.Sprintf("arn:%s:lambda:%s:%s:function:%v:%v", p.Partition, p.Region, p.AccountID, function, name), err
	case "AWS::ApiGateway::RestApi":
		return identifier(10, p.StackName, id), nil
	case "AWS::ApiGateway::Deployment":
		return identifier(6, p.StackName, id), nil
	case "AWS::ApiGateway::Account":
		return p.AccountID, nil
	default:
		return nil, fmt.Errorf("the value of Ref for %s is not supported", resourceType)
	}
}

// nameProperty returns the property whose value Ref returns for resources of a type, or "" if Ref returns another
// value.
func nameProperty(resourceType any) string {
	switch resourceType {
	case functionType:
		return "FunctionName"
	case tableType:
		return "TableName"
	case "AWS::IAM::Role":
		return "RoleName"
	case "AWS::Logs::LogGroup":
		return "LogGroupName"
	case "AWS::ApiGateway::Stage":
		return "StageName"
	case "AWS::CloudWatch::Alarm":
		return "AlarmName"
	default:
		return ""
	}
}

func (p placed) attribute(e *evaluator, id, name string) (any, error) {
	resourceType := e.resource(id)["Type"]
	ref, err := p.ref(e, id)
	if err != nil {
		return nil, err
	}
	arn := func(service, resource string) (any, error) {
		return fmt.Sprintf("arn:%s:%s:%s:%s:%s%v", p.Partition, service, p.Region, p.AccountID, resource, ref), nil
	}
	switch fmt.Sprint(resourceType, ".", name) {
	case "AWS::Lambda::Function.Arn":
		return arn("lambda", "function:")
	case "AWS::DynamoDB::Table.Arn":
		return arn("dynamodb", "table/")
	case "AWS::Logs::LogGroup.Arn":
		text, err := arn("logs", "log-group:")
		return fmt.Sprint(text, ":*"), err
	case "AWS::CloudWatch::Alarm.Arn":
		return arn("cloudwatch", "alarm:")
	case "AWS::IAM::Role.Arn": // without a Region
		return fmt.Sprintf("arn:%s:iam::%s:role/%v", p.Partition, p.AccountID, ref), nil
	case "AWS::ApiGateway::RestApi.RestApiId", "AWS::ApiGateway::Deployment.DeploymentId":
		return ref, nil
	case "AWS::ApiGateway::RestApi.RootResourceId":
		return identifier(10, p.StackName, id, name), nil
	default:
		return nil, fmt.Errorf("the attribute %s of %v is not supported", name, resourceType)
	}
}

// name returns the name of the resource, or one in the form that CloudFormation generates.
func (p placed) name(e *evaluator, id, property string) (any, error) {
	value, err := e.property(id, property)
	if err != nil {
		return nil, err
	}
	if name, ok := scalarText(value); ok {
		return name, nil
	}
	return strings.Join([]string{p.StackName, id, strings.ToUpper(identifier(12, p.StackName, id))}, "-"), nil
}

// identifier derives an id of length lower-case letters and digits from words. It is deterministic.
func identifier(length int, words ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:length]
}

// reader reads values of properties and keeps the first error.
type reader struct {
	path  string
	value object
	err   error
}

func (e *evaluator) reader(id string) *reader {
	properties, err := e.properties(id)
	return &reader{path: "Resources." + id + ".Properties", value: properties, err: err}
}

func (r *reader) failf(key, format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%s.%s: %s", r.path, key, fmt.Sprintf(format, args...))
	}
}

// text returns a scalar as a string, or "" if it is absent.
func (r *reader) text(key string) string {
	value, ok := r.value[key]
	text, isScalar := scalarText(value)
	if ok && !isScalar {
		r.failf(key, "want a string")
	}
	return text
}

// number returns a number, or byDefault if it is absent.
func (r *reader) number(key string, byDefault float64) float64 {
	value, ok := r.value[key]
	if !ok {
		return byDefault
	}
	n, err := parseNumber(value)
	if err != nil {
		r.failf(key, "%v", err)
	}
	return n
}

func (r *reader) list(key string) []any {
	value, ok := r.value[key]
	elements, isList := value.([]any)
	if ok && !isList {
		r.failf(key, "want a list")
	}
	return elements
}

// mapping returns a reader of the mapping at a key.
func (r *reader) mapping(key string) *reader {
	value, ok := r.value[key]
	mapping, isMapping := value.(object)
	if ok && !isMapping {
		r.failf(key, "want a mapping")
	}
	return &reader{path: r.path + "." + key, value: mapping, err: r.err}
}

// strings returns the entries of the mapping as strings.
func (r *reader) strings() map[string]string {
	entries := map[string]string{}
	for _, key := range sortedKeys(r.value) {
		entries[key] = r.text(key)
	}
	return entries
}

func (e *evaluator) function(id string) (Function, error) {
	name, err := e.ref("Resources."+id, id)
	if err != nil {
		return Function{}, err
	}
	alias, err := e.referring(aliasType, id)
	if err != nil {
		return Function{}, err
	}
	arn, err := e.ref("Resources."+alias, alias)
	if err != nil {
		return Function{}, err
	}
	r := e.reader(id)
	f := Function{
		LogicalID:    id,
		Name:         fmt.Sprint(name),
		ARN:          fmt.Sprint(arn),
		Runtime:      r.text("Runtime"),
		Handler:      r.text("Handler"),
		Architecture: "x86_64", // this and the following defaults are Lambda's
		MemoryMB:     int(r.number("MemorySize", 128)),
		Timeout:      time.Duration(r.number("Timeout", 3) * float64(time.Second)),
	}
	if _, isPackaged := r.value["Code"].(object); !isPackaged {
		if f.Source = r.text("Code"); f.Source == "" {
			r.failf("Code", "want the folder of the function")
		}
	}
	if architectures := r.list("Architectures"); len(architectures) > 0 {
		f.Architecture = fmt.Sprint(architectures[0])
	}
	if _, ok := r.value["ReservedConcurrentExecutions"]; ok {
		reserved := int(r.number("ReservedConcurrentExecutions", 0))
		f.ReservedConcurrency = &reserved
	}
	variables := r.mapping("Environment").mapping("Variables")
	f.Environment = variables.strings()
	tracing := r.mapping("TracingConfig")
	f.Tracing = tracing.text("Mode") == "Active"
	logging := r.mapping("LoggingConfig")
	f.Logging = Logging{
		Group:  cmp.Or(logging.text("LogGroup"), "/aws/lambda/"+f.Name),
		Format: cmp.Or(logging.text("LogFormat"), "Text"),
	}
	if f.Logging.Format == "JSON" {
		f.Logging.ApplicationLevel = cmp.Or(logging.text("ApplicationLogLevel"), "INFO")
	}
	return f, cmp.Or(r.err, variables.err, tracing.err, logging.err)
}

func (e *evaluator) table() (Table, error) {
	adopted, _ := e.parameters[existingTableParameter].(string) // "" if the template has no such parameter
	if adopted != "" {
		return e.adoptedTable(adopted)
	}
	id, err := e.only(tableType)
	if err != nil {
		return Table{}, err
	}
	name, err := e.ref("Resources."+id, id)
	if err != nil {
		return Table{}, err
	}
	arn, err := e.getAtt("Resources."+id, []any{id, "Arn"})
	if err != nil {
		return Table{}, err
	}
	properties, err := e.properties(id)
	return Table{LogicalID: id, Name: fmt.Sprint(name), ARN: fmt.Sprint(arn), Properties: properties}, err
}

// adoptedTable returns an existing table with the properties of the template's table.
func (e *evaluator) adoptedTable(name string) (Table, error) {
	t := Table{Name: name, ARN: fmt.Sprintf("arn:%v:dynamodb:%v:%v:table/%s",
		e.pseudo["AWS::Partition"], e.pseudo["AWS::Region"], e.pseudo["AWS::AccountId"], name)}
	for _, id := range sortedKeys(member(e.document, "Resources")) {
		if e.resource(id)["Type"] != tableType {
			continue
		}
		var err error
		if t.Properties, err = e.properties(id); err != nil {
			return Table{}, err
		}
		t.Properties["TableName"] = name
	}
	return t, nil
}

func (e *evaluator) api() (API, error) {
	var ids [3]string
	for i, resourceType := range []string{
		"AWS::ApiGateway::RestApi", "AWS::ApiGateway::Deployment", "AWS::ApiGateway::Stage",
	} {
		var err error
		if ids[i], err = e.only(resourceType); err != nil {
			return API{}, err
		}
	}
	var refs [3]string
	for i, id := range ids {
		ref, err := e.ref("Resources."+id, id)
		if err != nil {
			return API{}, err
		}
		refs[i] = fmt.Sprint(ref)
	}
	restAPI, stage := e.reader(ids[0]), e.reader(ids[2])
	variables := stage.mapping("Variables")
	a := API{
		ID:             refs[0],
		Name:           restAPI.text("Name"),
		DeploymentID:   refs[1],
		Stage:          refs[2],
		StageVariables: variables.strings(),
		Tracing:        stage.text("TracingEnabled") == "true",
	}
	accessLog := stage.mapping("AccessLogSetting")
	a.AccessLogFormat = accessLog.text("Format")
	sampling, err := e.sampling()
	if err != nil {
		return API{}, err
	}
	a.Sampling = sampling
	body, err := encodeJSON(restAPI.value["Body"])
	a.Body = body
	for i, setting := range stage.list("MethodSettings") {
		settings, _ := setting.(object) // nil is rejected below
		s := &reader{path: fmt.Sprintf("%s.MethodSettings.%d", stage.path, i), value: settings}
		if s.text("HttpMethod") != "*" || s.text("ResourcePath") != "/*" {
			s.failf("ResourcePath", "settings of single methods are not supported, only those of all: * and /*")
		}
		a.ThrottlingRateLimit = s.number("ThrottlingRateLimit", 0)
		a.ThrottlingBurstLimit = int(s.number("ThrottlingBurstLimit", 0))
		err = cmp.Or(err, s.err)
	}
	return a, cmp.Or(restAPI.err, stage.err, variables.err, accessLog.err, err)
}

// sampling returns the sampling rule of the template, even if the conditions exclude it, or X-Ray's default rule if the
// template has none.
func (e *evaluator) sampling() (Sampling, error) {
	s := Sampling{ReservoirSize: 1, FixedRate: 0.05}
	for _, id := range sortedKeys(member(e.document, "Resources")) {
		if e.resource(id)["Type"] != samplingRuleType {
			continue
		}
		rule := e.reader(id).mapping("SamplingRule")
		s.ReservoirSize = int(rule.number("ReservoirSize", 0))
		s.FixedRate = rule.number("FixedRate", 0)
		return s, rule.err
	}
	return s, nil
}
