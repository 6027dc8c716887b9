package release_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"
	"go.uber.org/goleak"

	"github.com/userrequestapi/userdata/deploy/aws/changeset"
	"github.com/userrequestapi/userdata/deploy/aws/changeset/changesettest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/host/command"
	"github.com/userrequestapi/userdata/deploy/release"
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
	"github.com/userrequestapi/userdata/deploy/release/progress"
	"github.com/userrequestapi/userdata/deploy/release/stage"
)

func TestMain(m *testing.M) {
	for name, value := range changesettest.Environment() {
		_ = os.Setenv(name, value) // fails for malformed names only
	}
	goleak.VerifyTestMain(m)
}

// pace is the number of stack events between two polls. A stack of the whole template has about 150.
const pace = 20

// Names of the stage test.
const (
	stackName  = "UserRequestAPI-test"
	tableName  = "UserData-test"
	globalName = "userrequestapi-artifacts-" + changesettest.Account + "-" + changesettest.Region // of earlier versions
	bucketName = globalName + "-an"
)

// logsRole is the role with which API Gateway writes logs.
const logsRole = "arn:aws:iam::" + changesettest.Account + ":role/service-role/logs"

// account is a fake AWS account behind one endpoint, set by AWS_ENDPOINT_URL, and a workspace that is deployed to it.
// Its CloudFormation creates no resources; the other services return what a test sets.
type account struct {
	*changesettest.CloudFormation
	t              *testing.T
	root, endpoint string

	mu       sync.Mutex
	calls    []string          // service and operation, in order
	faults   map[string]fault  // of the next call, by call
	denied   map[string]fault  // of every call, by call
	objects  map[string][]byte // of S3, by bucket and key
	settings map[string][]byte // of buckets, by bucket and setting; a bucket exists if it has the setting ""
	foreign  string            // the name of a bucket of another account
	tables   map[string]*table // of DynamoDB, by name
	logsRole string            // of API Gateway; "" if the account has none
	alarms   map[string]string // of CloudWatch: states by name
	pending  bool              // whether the subscription of SNS is not confirmed
	roles    map[string]string // the services that may assume the roles of IAM, by role name
	document string            // the response of GetTemplate instead of CloudFormation's own, if not ""
}

// fault is an error response of a service.
type fault struct {
	status        int
	code, message string
}

// table is a table in DynamoDB.
type table struct {
	key, keyType string
	indexes      map[string]string // partition keys, which are strings, of the global secondary indexes
	// statuses are the results of successive DescribeTable calls; "" means that the table does not exist. The last one is
	// permanent.
	statuses               []string
	protected, recoverable bool
}

// users returns a table with the key of the stage's table, without protection.
func users(statuses ...string) *table { return &table{key: "userId", keyType: "S", statuses: statuses} }

// newAccount returns an empty account and sets its credentials in the environment.
func newAccount(t *testing.T) *account {
	t.Helper()
	if testing.Short() {
		t.Skip("compiles functions")
	}
	a := &account{
		CloudFormation: changesettest.New(t),
		t:              t,
		root:           functions(t),
		faults:         map[string]fault{},
		objects:        map[string][]byte{},
		settings:       map[string][]byte{},
		tables:         map[string]*table{},
		logsRole:       logsRole,
		roles:          map[string]string{"logs": "apigateway.amazonaws.com"},
	}
	a.Page(10)
	a.Pace(pace)
	a.endpoint = changesettest.Endpoint(t, a)
	return a
}

// functions returns a workspace whose functions build fast: they are not main packages, so nothing is linked and the
// packages are small.
func functions(t *testing.T) string {
	t.Helper()
	root := workspace(t, "parameters: {Authorization: NONE}")
	for _, name := range []string{"get", "post", "put", "delete"} {
		testenv.WriteFile(t, filepath.Join(root, "functions", name, "go.mod"), "module example.org/"+name+"\n\ngo 1.26\n")
		setCode(t, root, name, "first")
	}
	return root
}

// setCode changes the code of a function.
func setCode(t *testing.T, root, name, value string) {
	t.Helper()
	testenv.WriteFile(t, filepath.Join(root, "functions", name, "main.go"),
		fmt.Sprintf("package function\n\nfunc Value() string { return %q }\n", value))
}

// setStage changes the parameters of the stage.
func setStage(t *testing.T, root, parameters string) {
	t.Helper()
	testenv.WriteFile(t, filepath.Join(root, "deploy", "stages", "test.yaml"),
		"parameters: {Authorization: NONE, "+parameters+"}")
}

// setTemplate replaces the matches of pattern in the template.
func setTemplate(t *testing.T, root, pattern, replacement string) {
	t.Helper()
	file := filepath.Join(root, "deploy", "template.yaml")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	after := regexp.MustCompile(pattern).ReplaceAll(before, []byte(replacement))
	if bytes.Equal(before, after) {
		t.Fatalf("the template has no %q", pattern)
	}
	testenv.WriteFile(t, file, string(after))
}

// target is a target of mage.
type target = func(context.Context, release.Settings) error

// run runs a target on the stage and returns its output.
func (a *account) run(ctx context.Context, do target, changes ...func(*release.Settings)) (string, error) {
	var out bytes.Buffer
	settings := release.Settings{Settings: stage.Settings{
		Root:     a.root,
		Stage:    "test",
		Endpoint: a.endpoint,
		Poll:     time.Millisecond,
		Printer:  progress.New(&out, progress.Options{}),
		Line:     command.Line{Stage: "test", AWS: []string{"AWS_PROFILE=deployer", "AWS_REGION=" + changesettest.Region}},
	}}
	for _, change := range changes {
		change(&settings)
	}
	before := a.called()
	err := do(ctx, settings)
	a.check(out.String(), err, a.called()[len(before):])
	return out.String(), err
}

// mageCommand and awsCommand match the commands in messages with the settings before them.
var (
	mageCommand = regexp.MustCompile(`((?:\w+=\S+ )*)go tool mage (\w+)`)
	awsCommand  = regexp.MustCompile(`((?:\w+=\S+ )*)\baws ((?:apigateway|cloudformation|configure|login|sso)\b[^;,\n]*)`)
)

// check reports errors that no run of a target may have: a command in its output that does not select the stage and the
// account, and a change of the account with [exitcode.Settings].
func (a *account) check(out string, err error, calls []string) {
	a.t.Helper()
	messages := out + fmt.Sprint(err)
	for _, found := range mageCommand.FindAllStringSubmatch(messages, -1) {
		if found[2] != "lint" { // needs no stage
			a.wantSettings(found, "STAGE=test", "AWS_PROFILE=deployer", "AWS_REGION="+changesettest.Region)
		}
	}
	for _, found := range awsCommand.FindAllStringSubmatch(messages, -1) {
		a.wantSettings(found, "AWS_REGION="+changesettest.Region)
		if !strings.Contains(found[2], "--profile ") {
			a.wantSettings(found, "AWS_PROFILE=deployer")
		}
	}
	if code(err) != exitcode.Settings {
		return
	}
	for _, call := range calls {
		if changes.MatchString(call) {
			a.t.Errorf("error = %v with code %d after %s, want another code", err, code(err), call)
		}
	}
}

// changes matches the calls that change the account.
var changes = regexp.MustCompile(
	`^(s3 PUT|cloudformation (Create|Execute|Delete|Continue)|dynamodb (Create|Up|Delete))`,
)

func (a *account) wantSettings(command []string, settings ...string) {
	a.t.Helper()
	for _, setting := range settings {
		if !slices.Contains(strings.Fields(command[1]), setting) {
			a.t.Errorf("the command %q in a message lacks %s", command[0], setting)
		}
	}
}

// called returns the calls so far.
func (a *account) called() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.calls)
}

// succeed runs a target that must succeed, and returns its output.
func (a *account) succeed(t *testing.T, do target, changes ...func(*release.Settings)) string {
	t.Helper()
	out, err := a.run(t.Context(), do, changes...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}

// fail runs a target that must fail with the exit code and an error that contains all parts.
func (a *account) fail(t *testing.T, do target, want int, parts []string, changes ...func(*release.Settings)) {
	t.Helper()
	out, err := a.run(t.Context(), do, changes...)
	if code(err) != want {
		t.Fatalf("error = %v with code %d, want code %d\n%s", err, code(err), want, out)
	}
	contains(t, err.Error(), parts...)
}

func contains(t *testing.T, output string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(output, part) {
			t.Errorf("%q is missing in:\n%s", part, output)
		}
	}
}

// deployed is the release of the stack.
type deployed struct {
	Number           int
	Key, Previous    string
	Status, ID       string
	parameters, code map[string]string // of the stack; object keys of the packages by function
}

// deployed returns the release of the stack.
func (a *account) deployed(t *testing.T) deployed {
	t.Helper()
	s := changeset.New(a.Client(), stackName, changeset.Options{})
	description, err := s.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	document, err := s.Template(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var content struct {
		Metadata  struct{ Release deployed }
		Resources map[string]struct {
			Properties struct{ Code struct{ S3Key string } }
		}
	}
	if len(document) > 0 { // the fake has none after a failed creation
		if err := json.Unmarshal(document, &content); err != nil {
			t.Fatal(err)
		}
	}
	d := content.Metadata.Release
	d.Status, d.ID = string(description.Status), description.ID
	d.parameters, d.code = description.Parameters, map[string]string{}
	for id, r := range content.Resources {
		if r.Properties.Code.S3Key != "" {
			d.code[id] = r.Properties.Code.S3Key
		}
	}
	return d
}

// is fails the test unless this release follows previous and the stack has the status.
func (d deployed) is(t *testing.T, number int, previous, status string) {
	t.Helper()
	if d.Number != number || d.Previous != previous || d.Status != status {
		t.Errorf("release %d after %q, stack %s; want release %d after %q, stack %s",
			d.Number, d.Previous, d.Status, number, previous, status)
	}
}

// object returns an object of the bucket, or nil.
func (a *account) object(key string) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.objects[path.Join(bucketName, key)]
}

// executable returns the executable in a package.
func (a *account) executable(t *testing.T, key string) []byte {
	t.Helper()
	content := a.object(key)
	archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatalf("package %s: %v", key, err)
	}
	file, err := archive.Open("bootstrap")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	executable, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	return executable
}

// remove deletes an object of the bucket.
func (a *account) remove(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.objects, path.Join(bucketName, key))
}

// set changes the account under its lock.
func (a *account) set(change func(*account)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(a)
}

// takeCalls returns the calls since the last time that begin with one of the prefixes, such as "s3 PUT". Without
// prefixes, it returns none.
func (a *account) takeCalls(prefixes ...string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	calls := a.calls
	a.calls = nil
	return slices.DeleteFunc(calls, func(call string) bool {
		return !slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(call, prefix) })
	})
}

// scope matches the service in a signature.
var scope = regexp.MustCompile(`Credential=[^/]+/\d+/[^/]+/([^/]+)/aws4_request`)

// restJSON matches the services with a REST API with JSON.
var restJSON = regexp.MustCompile(`/(apigateway|lambda)/`)

// ServeHTTP dispatches to the service for which the request is signed. Unsigned requests are CloudFormation's to S3.
func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	service := "s3"
	if signed := scope.FindStringSubmatch(r.Header.Get("Authorization")); signed != nil {
		service = signed[1]
	}
	if slices.Contains([]string{"cloudformation", "sts", "iam", "sns"}, service) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	call := service + " " + operation(r)
	a.mu.Lock()
	a.calls = append(a.calls, call)
	f, faulty := a.faults[call]
	delete(a.faults, call)
	if f2, ok := a.denied[call]; ok {
		f, faulty = f2, true
	}
	document := a.document
	a.mu.Unlock()
	switch {
	case faulty:
		refuse(w, r, f)
	case document != "" && call == "cloudformation GetTemplate":
		query(w, "GetTemplate", "<TemplateBody>"+document+"</TemplateBody>")
	case service == "cloudformation": // it calls back, so the lock must be free
		a.CloudFormation.ServeHTTP(w, r)
	default:
		a.mu.Lock()
		defer a.mu.Unlock()
		a.respond(w, r, service, operation(r))
	}
}

// operation returns the operation of a request, from the form, a header or the path, depending on the protocol.
func operation(r *http.Request) string {
	if action := r.PostForm.Get("Action"); action != "" {
		return action
	}
	if _, operation, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "."); ok {
		return operation
	}
	if r.Header.Get("Smithy-Protocol") != "" {
		return path.Base(r.URL.Path)
	}
	return r.Method + " " + strings.TrimRight(r.URL.Path, "/") + setting(r)
}

func (a *account) respond(w http.ResponseWriter, r *http.Request, service, operation string) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has disconnected
	}
	switch service {
	case "s3":
		a.s3(w, r, body)
	case "sts":
		query(w, "GetCallerIdentity",
			"<Arn>arn:aws:iam::"+changesettest.Account+":user/deployer</Arn><UserId>AIDA</UserId><Account>"+
				changesettest.Account+"</Account>")
	case "iam":
		name := r.PostForm.Get("RoleName")
		if assumedBy, ok := a.roles[name]; ok {
			changesettest.WriteRole(w, name, assumedBy)
		} else {
			changesettest.WriteNoRole(w, name)
		}
	case "sns":
		confirmed := "1"
		if a.pending {
			confirmed = "0"
		}
		query(w, "GetTopicAttributes",
			"<Attributes><entry><key>SubscriptionsConfirmed</key><value>"+confirmed+"</value></entry></Attributes>")
	case "dynamodb":
		a.dynamodb(w, r, operation, body)
	case "apigateway":
		if strings.HasSuffix(r.URL.Path, "/exports/oas30") {
			export(w, r)
			return
		}
		reply(w, map[string]any{"cloudwatchRoleArn": a.logsRole, "value": "the-key"})
	case "lambda":
		reply(w, map[string]any{"Name": "live", "FunctionVersion": "7", "State": "Active"})
	case "logs", "xray": // empty
		reply(w, map[string]any{})
	case "monitoring":
		a.cloudwatch(w, r, body)
	default:
		http.Error(w, "no such service: "+service, http.StatusNotImplemented)
	}
}

// export responds with an exported document that contains the parameters of the request.
func export(w http.ResponseWriter, r *http.Request) {
	reply(w, map[string]any{
		"openapi": "3.0.1", "paths": map[string]any{"/exported": map[string]any{}}, "servers": []any{},
		"info": map[string]any{"version": json.Number("1.10"), "title": "<" + r.URL.Path + "> " + r.URL.RawQuery},
	})
}

// setting returns the subresource of an S3 request, such as "?tagging", or "" for an object.
func setting(r *http.Request) string {
	for name := range r.URL.Query() {
		if name != "x-id" { // names the operation, for logs
			return "?" + name
		}
	}
	return ""
}

// s3 implements buckets with path-style addresses.
func (a *account) s3(w http.ResponseWriter, r *http.Request, body []byte) {
	name := strings.Trim(r.URL.Path, "/")
	bucket, _, isObject := strings.Cut(name, "/")
	switch about := setting(r); {
	case bucket == a.foreign:
		refuse(w, r, fault{http.StatusForbidden, "AccessDenied", "Access Denied"})
	case r.Method == http.MethodPut && !isObject:
		a.settings[name+about] = body
	case a.settings[bucket] == nil:
		refuse(w, r, fault{http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist"})
	case about != "" && a.settings[name+about] == nil:
		refuse(w, r, fault{http.StatusNotFound, "NoSuchTagSet", "The TagSet does not exist"})
	case about != "":
		_, _ = w.Write(a.settings[name+about])
	case r.Method == http.MethodPut:
		a.objects[name] = body
	case a.objects[name] == nil:
		refuse(w, r, fault{http.StatusNotFound, "NoSuchKey", "The specified key does not exist."})
	default:
		digest := sha256.Sum256(a.objects[name])
		w.Header().Set("X-Amz-Checksum-Sha256", base64.StdEncoding.EncodeToString(digest[:]))
		_, _ = w.Write(a.objects[name])
	}
}

// dynamodb implements tables without items.
func (a *account) dynamodb(w http.ResponseWriter, r *http.Request, operation string, body []byte) {
	var input struct {
		TableName                        string
		DeletionProtectionEnabled        *bool
		PointInTimeRecoverySpecification struct{ PointInTimeRecoveryEnabled bool }
	}
	if err := json.Unmarshal(body, &input); err != nil {
		refuse(w, r, fault{http.StatusBadRequest, "SerializationException", err.Error()})
		return
	}
	t := a.tables[input.TableName]
	if t == nil || t.statuses[0] == "" {
		refuse(w, r, fault{
			http.StatusBadRequest,
			"ResourceNotFoundException",
			"Requested resource not found: Table: " + input.TableName + " not found",
		})
		return
	}
	status := t.statuses[0]
	switch operation {
	case "DescribeTable":
		t.statuses = t.statuses[min(1, len(t.statuses)-1):]
	case "UpdateContinuousBackups":
		t.recoverable = input.PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled
	case "UpdateTable":
		t.protected = *input.DeletionProtectionEnabled
	case "DeleteTable":
		if t.protected {
			refuse(w, r, fault{
				http.StatusBadRequest, "ValidationException",
				"Resource cannot be deleted as it is currently protected against deletion.",
			})
			return
		}
		status, t.statuses = "DELETING", []string{""}
	}
	key := func(name string) []any { return []any{map[string]any{"AttributeName": name, "KeyType": "HASH"}} }
	definitions := []any{map[string]any{"AttributeName": t.key, "AttributeType": t.keyType}}
	var indexes []any
	for name, attribute := range t.indexes {
		indexes = append(indexes, map[string]any{"IndexName": name, "KeySchema": key(attribute)})
		definitions = append(definitions, map[string]any{"AttributeName": attribute, "AttributeType": "S"})
	}
	description := map[string]any{
		"TableName":                 input.TableName,
		"TableStatus":               status,
		"DeletionProtectionEnabled": t.protected,
		"TableArn": "arn:aws:dynamodb:" + changesettest.Region + ":" + changesettest.Account + ":table/" +
			input.TableName,
		"KeySchema":              key(t.key),
		"AttributeDefinitions":   definitions,
		"GlobalSecondaryIndexes": indexes,
	}
	reply(w, map[string]any{"Table": description, "TableDescription": description})
}

// addAlarms adds the alarms of the stack to CloudWatch; only the name of the composite alarm has no slash.
func (a *account) addAlarms() {
	resources := a.Resources(stackName)
	a.set(func(a *account) {
		a.alarms = map[string]string{}
		for _, name := range resources {
			if name == stackName || strings.HasPrefix(name, stackName+"/") {
				a.alarms[name] = "OK"
			}
		}
	})
}

// cloudwatch describes the requested alarms that exist; only the name of the composite alarm has no slash.
func (a *account) cloudwatch(w http.ResponseWriter, r *http.Request, body []byte) {
	input, err := cbor.Decode(body)
	if err != nil {
		refuse(w, r, fault{http.StatusBadRequest, "SerializationException", err.Error()})
		return
	}
	names, _ := input.(cbor.Map)["AlarmNames"].(cbor.List)
	metric, composite := cbor.List{}, cbor.List{}
	for _, value := range names {
		name, _ := value.(cbor.String)
		state, ok := a.alarms[string(name)]
		alarm := cbor.Map{"AlarmName": name, "StateValue": cbor.String(state)}
		switch {
		case !ok:
		case strings.Contains(string(name), "/"):
			metric = append(metric, alarm)
		default:
			composite = append(composite, alarm)
		}
	}
	replyCBOR(w, http.StatusOK, cbor.Map{"MetricAlarms": metric, "CompositeAlarms": composite})
}

func replyCBOR(w http.ResponseWriter, status int, content cbor.Map) {
	w.Header().Set("Content-Type", "application/cbor")
	w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
	w.WriteHeader(status)
	_, _ = w.Write(cbor.Encode(content))
}

// reply sends a JSON response.
func reply(w http.ResponseWriter, content any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(content)
}

// query sends a response of the Query protocol.
func query(w http.ResponseWriter, operation, content string) {
	w.Header().Set("Content-Type", "text/xml")
	_, _ = fmt.Fprintf(w, "<%[1]sResponse><%[1]sResult>%[2]s</%[1]sResult></%[1]sResponse>", operation, content)
}

// refuse sends an error in the protocol of the service; a response to HEAD has no body.
func refuse(w http.ResponseWriter, r *http.Request, f fault) {
	if r.Header.Get("Smithy-Protocol") != "" {
		replyCBOR(w, f.status, cbor.Map{"__type": cbor.String(f.code), "message": cbor.String(f.message)})
		return
	}
	if r.Header.Get("X-Amz-Target") != "" || restJSON.MatchString(r.Header.Get("Authorization")) {
		w.Header().Set("X-Amzn-Errortype", f.code)
		w.WriteHeader(f.status)
		reply(w, map[string]any{"message": f.message})
		return
	}
	type document struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
	}
	if r.PostForm.Get("Action") != "" { // the Query protocol
		w.WriteHeader(f.status)
		_ = xml.NewEncoder(w).Encode(struct {
			XMLName xml.Name `xml:"ErrorResponse"`
			Error   document
		}{Error: document{Code: f.code, Message: f.message}})
		return
	}
	w.WriteHeader(f.status)
	if r.Method != http.MethodHead {
		_ = xml.NewEncoder(w).Encode(document{Code: f.code, Message: f.message})
	}
}
