package template

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/userrequestapi/userdata/deploy/cfn"
	"github.com/userrequestapi/userdata/deploy/contract"
)

// Types of resources.
const (
	functionType = "AWS::Lambda::Function"
	versionType  = "AWS::Lambda::Version"
	aliasType    = "AWS::Lambda::Alias"

	restAPIType    = "AWS::ApiGateway::RestApi"
	deploymentType = "AWS::ApiGateway::Deployment"
	stageType      = "AWS::ApiGateway::Stage"

	samplingRuleType = "AWS::XRay::SamplingRule"
	savedQueryType   = "AWS::Logs::QueryDefinition"
)

// PseudoParameters are the values of pseudo parameters ("Pseudo parameters reference"). The zero value is for callers
// that do not need names and ARNs of a specific account.
type PseudoParameters struct {
	Region    string // AWS::Region; empty means us-east-1
	AccountID string // AWS::AccountId; empty means 000000000000
	Partition string // AWS::Partition; empty means aws
	URLSuffix string // AWS::URLSuffix; empty means amazonaws.com
	StackName string // AWS::StackName; empty means the name of the API
	StackID   string // AWS::StackId; empty means one derived from the others
}

// Resources contains the evaluated resources that the local stack needs.
type Resources struct {
	functions []Function
	tables    []Table
	api       API
	queries   []Query
}

// Functions returns the functions, sorted by logical id.
func (r *Resources) Functions() []Function { return r.functions }

// Tables returns the tables, first the existing ones (ExistingTableParameter), sorted by logical id.
func (r *Resources) Tables() []Table { return r.tables }

// API returns the REST API and its stage.
func (r *Resources) API() API { return r.api }

// Queries returns the saved queries, sorted by logical id.
func (r *Resources) Queries() []Query { return r.queries }

// Query is a saved query of Logs Insights (AWS::Logs::QueryDefinition).
type Query struct {
	Name      string // with its folder, such as UserRequestAPI/Cold starts
	Text      string
	LogGroups []string
}

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
	ApplicationLevel string // minimum level of the application log lines that Lambda keeps; "" if Format is Text
}

// API is a REST API with its stage.
type API struct {
	ID             string
	Name           string
	Body           []byte             // the OpenAPI document with API Gateway's extensions, in JSON
	Document       *contract.Document // nil if Rendered is from Open
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

// Resolve evaluates the template for the given pseudo parameters, as CloudFormation does. An error contains the path in
// the template, and names an intrinsic function that is not supported.
func (r *Rendered) Resolve(pseudo PseudoParameters) (*Resources, error) {
	pseudo.Region = cmp.Or(pseudo.Region, "us-east-1")
	pseudo.AccountID = cmp.Or(pseudo.AccountID, "000000000000")
	if pseudo.StackName == "" && r.contract != nil {
		pseudo.StackName = r.contract.Name()
	}
	pseudo.StackName = cmp.Or(pseudo.StackName, "Stack")
	pseudo.Partition = cmp.Or(pseudo.Partition, "aws")
	pseudo.URLSuffix = cmp.Or(pseudo.URLSuffix, "amazonaws.com")
	pseudo.StackID = cmp.Or(pseudo.StackID, fmt.Sprintf("arn:%s:cloudformation:%s:%s:stack/%s/%s",
		pseudo.Partition, pseudo.Region, pseudo.AccountID, pseudo.StackName, identifier(10, pseudo.StackName)))
	values := map[string]any{
		"AWS::Region":           pseudo.Region,
		"AWS::AccountId":        pseudo.AccountID,
		"AWS::Partition":        pseudo.Partition,
		"AWS::URLSuffix":        pseudo.URLSuffix,
		"AWS::StackName":        pseudo.StackName,
		"AWS::StackId":          pseudo.StackID,
		"AWS::NotificationARNs": []any{},
	}
	maps.Copy(values, r.parameters)
	e := cfn.NewEvaluator(r.document, values, pseudo.resolve)
	resolved := &Resources{}
	for _, id := range e.All(functionType) {
		resolved.functions = append(resolved.functions, function(e, id))
	}
	for _, id := range e.All(savedQueryType) {
		resolved.queries = append(resolved.queries, query(e, id))
	}
	resolved.tables = r.tables(e, pseudo)
	resolved.api = api(e)
	if err := e.Err(); err != nil {
		return nil, fmt.Errorf("resolve: %w", err)
	}
	resolved.api.Document = r.contract
	return resolved, nil
}

// resolve returns the value of Ref for a resource, or of Fn::GetAtt if attribute is not empty ("Return values" of each
// resource type).
func (p PseudoParameters) resolve(e *cfn.Evaluator, id, attribute string) (any, error) {
	resourceType := e.Resource(id)["Type"]
	ref, err := p.ref(e, id)
	if attribute == "" || err != nil {
		return ref, err
	}
	switch fmt.Sprint(resourceType, ".", attribute) {
	case "AWS::Lambda::Function.Arn":
		return p.arn("lambda", "function:"+ref), nil
	case "AWS::DynamoDB::Table.Arn":
		return p.arn("dynamodb", "table/"+ref), nil
	case "AWS::Logs::LogGroup.Arn":
		return p.arn("logs", "log-group:"+ref+":*"), nil
	case "AWS::CloudWatch::Alarm.Arn":
		return p.arn("cloudwatch", "alarm:"+ref), nil
	case "AWS::IAM::Role.Arn": // without a Region
		return fmt.Sprintf("arn:%s:iam::%s:role/%s", p.Partition, p.AccountID, ref), nil
	case "AWS::ApiGateway::RestApi.RestApiId", "AWS::ApiGateway::Deployment.DeploymentId":
		return ref, nil
	case "AWS::ApiGateway::RestApi.RootResourceId":
		return identifier(10, p.StackName, id, attribute), nil
	default:
		return nil, fmt.Errorf("the attribute %s of %v is not supported: add it to PseudoParameters.resolve",
			attribute, resourceType)
	}
}

// arn returns the ARN of a resource of a service.
func (p PseudoParameters) arn(service, resource string) string {
	return fmt.Sprintf("arn:%s:%s:%s:%s:%s", p.Partition, service, p.Region, p.AccountID, resource)
}

func (p PseudoParameters) ref(e *cfn.Evaluator, id string) (string, error) {
	resourceType := e.Resource(id)["Type"]
	if property := nameProperty(resourceType); property != "" {
		if name := e.Property(id, property); cfn.IsScalar(name) {
			return cfn.Text(name), nil
		}
		// The form of the names that CloudFormation generates.
		return strings.Join([]string{p.StackName, id, strings.ToUpper(identifier(12, p.StackName, id))}, "-"), nil
	}
	switch resourceType {
	case aliasType: // its ARN
		return fmt.Sprintf("arn:%s:lambda:%s:%s:function:%v:%v",
			p.Partition, p.Region, p.AccountID, e.Property(id, "FunctionName"), e.Property(id, "Name")), nil
	case restAPIType:
		return identifier(10, p.StackName, id), nil
	case deploymentType:
		return identifier(6, p.StackName, id), nil
	case "AWS::ApiGateway::Account":
		return p.AccountID, nil
	default:
		return "", fmt.Errorf("the value of Ref for %s is not supported: add it to PseudoParameters.ref", resourceType)
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
	case stageType:
		return "StageName"
	case "AWS::CloudWatch::Alarm":
		return "AlarmName"
	default:
		return ""
	}
}

// identifier returns a deterministic id with the given length, at most 52, of lower-case letters and digits, derived
// from words.
func identifier(length int, words ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:length]
}

func function(e *cfn.Evaluator, id string) Function {
	r := properties(e, id)
	f := Function{
		LogicalID:    id,
		Name:         cfn.Text(e.Ref(id)),
		ARN:          cfn.Text(e.Ref(referring(e, aliasType, id))),
		Runtime:      r.str("Runtime"),
		Handler:      r.str("Handler"),
		Architecture: "x86_64", // this and the following defaults are Lambda's
		MemoryMB:     int(r.number("MemorySize", 128)),
		Timeout:      time.Duration(r.number("Timeout", 3) * float64(time.Second)),
		Environment:  r.mapping("Environment").mapping("Variables").strs(),
		Tracing:      r.mapping("TracingConfig").str("Mode") == "Active",
	}
	if cfn.Mapping(r.value, "Code") == nil { // not packaged
		if f.Source = r.str("Code"); f.Source == "" {
			r.failf("Code", "want the folder of the function")
		}
	}
	if architectures := r.list("Architectures"); len(architectures) > 0 {
		f.Architecture = cfn.Text(architectures[0])
	}
	if _, ok := r.value["ReservedConcurrentExecutions"]; ok {
		reserved := int(r.number("ReservedConcurrentExecutions", 0))
		f.ReservedConcurrency = &reserved
	}
	logging := r.mapping("LoggingConfig")
	f.Logging = Logging{
		Group:  cmp.Or(logging.str("LogGroup"), "/aws/lambda/"+f.Name),
		Format: cmp.Or(logging.str("LogFormat"), "Text"),
	}
	if f.Logging.Format == "JSON" {
		f.Logging.ApplicationLevel = cmp.Or(logging.str("ApplicationLogLevel"), "INFO")
	}
	return f
}

// IsReservedVariable reports whether Lambda reserves the name of an environment variable ("Using Lambda environment
// variables").
func IsReservedVariable(name string) bool {
	switch name {
	case "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV",
		"AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION",
		"AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
		"AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
		"AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR":
		return true
	}
	return false
}

func query(e *cfn.Evaluator, id string) Query {
	r := properties(e, id)
	q := Query{Name: r.str("Name"), Text: r.str("QueryString")}
	for _, group := range r.list("LogGroupNames") {
		q.LogGroups = append(q.LogGroups, cfn.Text(group))
	}
	return q
}

// first returns the logical id of the first resource of a type in alphabetical order, even if its condition is false,
// or "" if there is none.
func first(e *cfn.Evaluator, resourceType string) string {
	for _, id := range slices.Sorted(maps.Keys(cfn.Mapping(e.Document, "Resources"))) {
		if e.Resource(id)["Type"] == resourceType {
			return id
		}
	}
	return ""
}

func api(e *cfn.Evaluator) API {
	id, deployment, stageID := onlyOne(e, restAPIType), onlyOne(e, deploymentType), onlyOne(e, stageType)
	restAPI, stage := properties(e, id), properties(e, stageID)
	a := API{
		ID:              cfn.Text(e.Ref(id)),
		Name:            restAPI.str("Name"),
		Body:            mustEncodeJSON(restAPI.value["Body"]),
		DeploymentID:    cfn.Text(e.Ref(deployment)),
		Stage:           cfn.Text(e.Ref(stageID)),
		StageVariables:  stage.mapping("Variables").strs(),
		Tracing:         stage.str("TracingEnabled") == "true",
		Sampling:        sampling(e),
		AccessLogFormat: stage.mapping("AccessLogSetting").str("Format"),
	}
	for i, setting := range stage.list("MethodSettings") {
		s := reader{e, fmt.Sprintf("%s.MethodSettings.%d", stage.path, i), cfn.Mapping(setting)}
		if s.str("HttpMethod") != "*" || s.str("ResourcePath") != "/*" {
			s.failf("ResourcePath",
				`want HttpMethod "*" and ResourcePath "/*": settings of single methods are not supported`)
		}
		a.ThrottlingRateLimit = s.number("ThrottlingRateLimit", 0)
		a.ThrottlingBurstLimit = int(s.number("ThrottlingBurstLimit", 0))
	}
	return a
}

// sampling returns the sampling rule of the template, even if its condition is false, or X-Ray's default rule if the
// template has none.
func sampling(e *cfn.Evaluator) Sampling {
	id := first(e, samplingRuleType)
	if id == "" {
		return Sampling{ReservoirSize: 1, FixedRate: 0.05}
	}
	rule := properties(e, id).mapping("SamplingRule")
	return Sampling{ReservoirSize: int(rule.number("ReservoirSize", 0)), FixedRate: rule.number("FixedRate", 0)}
}

// reader reads the evaluated values of a mapping, and reports errors to the evaluator.
type reader struct {
	e     *cfn.Evaluator
	path  string
	value object
}

// properties returns a reader of the properties of a resource.
func properties(e *cfn.Evaluator, id string) reader {
	return reader{e, "Resources." + id + ".Properties", e.Properties(id)}
}

func (r reader) failf(key, format string, args ...any) { r.e.Failf(r.path+"."+key, format, args...) }

// str returns a scalar as a string, or "" if it is absent.
func (r reader) str(key string) string {
	value, ok := r.value[key]
	if ok && !cfn.IsScalar(value) {
		r.failf(key, "want a string")
	}
	return cfn.Text(value)
}

// number returns a number, or byDefault if it is absent.
func (r reader) number(key string, byDefault float64) float64 {
	value, ok := r.value[key]
	if !ok {
		return byDefault
	}
	n, err := cfn.ParseNumber(value)
	if err != nil {
		r.failf(key, "%v", err)
	}
	return n
}

func (r reader) list(key string) []any {
	value, ok := r.value[key]
	elements, isList := value.([]any)
	if ok && !isList {
		r.failf(key, "want a list")
	}
	return elements
}

// mapping returns a reader of the mapping at a key.
func (r reader) mapping(key string) reader {
	value, ok := r.value[key]
	mapping, isMapping := value.(object)
	if ok && !isMapping {
		r.failf(key, "want a mapping")
	}
	return reader{r.e, r.path + "." + key, mapping}
}

// strs returns the entries of the mapping as strings.
func (r reader) strs() map[string]string {
	entries := map[string]string{}
	for key := range r.value {
		entries[key] = r.str(key)
	}
	return entries
}
