package release

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/userrequestapi/userdata/deploy/aws/changeset"
	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
	"github.com/userrequestapi/userdata/deploy/release/stage"
)

// StageStatus is the result of [Status].
type StageStatus struct {
	Stage     string            `json:"stage"`
	Stack     string            `json:"stack"`
	Status    string            `json:"status"`
	Reason    string            `json:"reason,omitempty"`
	Failure   string            `json:"failure,omitempty"` // why the latest deployment failed
	Updated   time.Time         `json:"updated"`
	Release   int               `json:"release"`
	Source    string            `json:"source,omitempty"`
	Functions []FunctionStatus  `json:"functions"`
	Drift     []changeset.Drift `json:"drift"`  // resources that differ from the template; null if not compared
	Alarms    map[string]string `json:"alarms"` // states by name; stateMissing for an alarm that does not exist
	URL       string            `json:"url"`
	// Notification is the zero value if the alarms have no email subscription.
	Notification Notification `json:"notification,omitzero"`
	// Errors maps each part that could not be read to its error: failure, functions, alarms, notification, logs, drift, or
	// the name of a function.
	Errors map[string]string `json:"errors,omitempty"`
	// LogsProblem is why API Gateway writes no logs, and how to fix it.
	LogsProblem string `json:"logsProblem,omitempty"`

	serves bool
	repair string // the command that reverts the drift
}

// FunctionStatus describes the version of a function that serves requests.
type FunctionStatus struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	// Shifting has the share of requests that other versions serve during a gradual deployment, from 0 to 1.
	Shifting map[string]float64 `json:"shifting,omitempty"`
	Package  string             `json:"package"`          // its object key in the bucket
	State    string             `json:"state,omitempty"`  // Lambda's state, or stateMissing; "" if it could not be read
	Reason   string             `json:"reason,omitempty"` // the error message for stateMissing
}

// stateMissing is the state of a function or an alarm that belongs to the stack and does not exist.
const stateMissing = "MISSING"

// The keys of [StageStatus.Errors], besides the names of functions.
const (
	partFailure   = "failure"
	partFunctions = "functions"
	partAlarms    = "alarms"
	partNotify    = "notification"
	partLogs      = "logs"
	partDrift     = "drift"
)

// Status prints the state of the stage: its stack, the function versions that serve requests, its alarms, and its
// drift. If a part cannot be read, Status prints the others and returns an error that names the parts.
func Status(ctx context.Context, settings Settings) error {
	return run(ctx, settings, "", status)
}

func status(ctx context.Context, s *session) error {
	now, err := s.Release(ctx)
	if err == nil && now == nil {
		err = s.NotDeployed(nil)
	}
	if err != nil {
		return err
	}
	r := statusReader{session: s, now: now, result: StageStatus{
		Stage: s.Name, Stack: now.Name, Status: string(now.Status), Reason: now.Reason, Updated: now.Updated,
		Release: now.Record.Number, Source: now.Record.Source, URL: s.invokeURL(now), serves: now.Serves(),
		repair: s.RepairCommand(),
	}}
	if r.result.Updated.IsZero() {
		r.result.Updated = now.Created
	}
	r.read(ctx)
	if ctx.Err() != nil {
		return fmt.Errorf("read the status: %w", context.Cause(ctx))
	}
	s.Printer.Result(r.result, r.result.text())
	if len(r.errs) > 0 {
		return fmt.Errorf("some parts of the status could not be read: %w", errors.Join(r.errs...))
	}
	return nil
}

// statusReader reads the parts of a status.
type statusReader struct {
	*session
	now    *stage.Release
	result StageStatus
	errs   []error
}

// recordError records err, if it is not nil, for each of the parts.
func (r *statusReader) recordError(err error, parts ...string) {
	if err == nil {
		return
	}
	if r.result.Errors == nil {
		r.result.Errors = map[string]string{}
	}
	for _, part := range parts {
		r.result.Errors[part] = err.Error()
	}
	r.errs = append(r.errs, err)
}

// read reads all parts, even if some fail.
func (r *statusReader) read(ctx context.Context) {
	failure, err := r.Stack.LastFailure(ctx, r.now.Description)
	r.recordError(err, partFailure)
	if failure != nil {
		r.result.Failure = failure.Error()
	}
	if !r.now.Serves() {
		return
	}
	if resources, err := r.Resources(ctx); err != nil {
		r.recordError(err, partFunctions, partAlarms)
	} else {
		r.readFunctions(ctx, resources)
		r.readAlarms(ctx, resources)
		r.result.Notification, err = r.notification(ctx, r.now, resources)
		r.recordError(err, partNotify)
	}
	r.result.LogsProblem, err = r.LogsProblem(ctx, r.now)
	r.recordError(err, partLogs)
	if r.Drift && !r.now.InProgress() && ctx.Err() == nil {
		r.result.Drift, err = r.detectDrift(ctx)
		r.recordError(err, partDrift)
	}
}

// readFunctions reads the status of each function.
func (r *statusReader) readFunctions(ctx context.Context, resources []changeset.Resource) {
	client := lambda.NewFromConfig(r.Account.Config)
	code := map[string]string{}
	if r.now.Template != nil {
		code = r.now.Template.Code()
	}
	for _, resource := range resources {
		if resource.Type != functionType {
			continue
		}
		f := FunctionStatus{Name: resource.PhysicalID, Package: code[resource.LogicalID]}
		err := f.read(ctx, client)
		if missing, ok := errors.AsType[*lambdatypes.ResourceNotFoundException](err); ok {
			f.State, f.Reason = stateMissing, missing.ErrorMessage()
		} else if err != nil {
			r.recordError(fmt.Errorf("read the function %s: %w", f.Name, awserrors.Explain(err)), f.Name)
		}
		r.result.Functions = append(r.result.Functions, f)
	}
}

// read sets the fields of f that Lambda reports for the deployed version.
func (f *FunctionStatus) read(ctx context.Context, client *lambda.Client) error {
	alias, err := client.GetAlias(ctx, &lambda.GetAliasInput{FunctionName: &f.Name, Name: aws.String(aliasName)})
	if err != nil {
		return err
	}
	f.Version = aws.ToString(alias.FunctionVersion)
	if alias.RoutingConfig != nil {
		f.Shifting = alias.RoutingConfig.AdditionalVersionWeights
	}
	configuration, err := client.GetFunctionConfiguration(ctx,
		&lambda.GetFunctionConfigurationInput{FunctionName: &f.Name, Qualifier: aws.String(aliasName)})
	if err != nil {
		return err
	}
	f.State = string(configuration.State)
	return nil
}

// readAlarms reads the states of the stack's alarms.
func (r *statusReader) readAlarms(ctx context.Context, resources []changeset.Resource) {
	states := map[string]string{}
	for _, resource := range resources {
		if resource.Type == "AWS::CloudWatch::Alarm" || resource.Type == "AWS::CloudWatch::CompositeAlarm" {
			states[alarmName(resource.PhysicalID)] = stateMissing
		}
	}
	if len(states) > 0 {
		if err := describeAlarms(ctx, cloudwatch.NewFromConfig(r.Account.Config), states); err != nil {
			r.recordError(fmt.Errorf("read the alarms: %w", awserrors.Explain(err)), partAlarms)
			return
		}
	}
	r.result.Alarms = states
}

// alarmName returns the name of an alarm with a physical ID, which is the name itself or the ARN. Names can contain
// slashes.
func alarmName(physicalID string) string {
	if parsed, err := arn.Parse(physicalID); err == nil {
		return strings.TrimPrefix(parsed.Resource, "alarm:")
	}
	return physicalID
}

// describeAlarms sets the states of the alarms that exist. The keys of states are the names of the alarms.
func describeAlarms(ctx context.Context, client *cloudwatch.Client, states map[string]string) error {
	pages := cloudwatch.NewDescribeAlarmsPaginator(client, &cloudwatch.DescribeAlarmsInput{
		AlarmNames: slices.Sorted(maps.Keys(states)),
		AlarmTypes: []cwtypes.AlarmType{cwtypes.AlarmTypeMetricAlarm, cwtypes.AlarmTypeCompositeAlarm},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, a := range page.MetricAlarms {
			states[aws.ToString(a.AlarmName)] = string(a.StateValue)
		}
		for _, a := range page.CompositeAlarms {
			states[aws.ToString(a.AlarmName)] = string(a.StateValue)
		}
	}
	return nil
}

// text renders the status for a person.
func (r StageStatus) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nStack    %s: %s", r.Stack, r.Status)
	if r.Reason != "" {
		fmt.Fprintf(&b, " (%s)", r.Reason)
	}
	if r.Failure != "" {
		fmt.Fprintf(&b, "\nFailure  %s", r.Failure)
	}
	if message := r.Errors[partFailure]; message != "" {
		fmt.Fprintf(&b, "\nFailure  not read: %s", message)
	}
	if !r.serves {
		b.WriteString("\nNo release is deployed yet.\n")
		return b.String()
	}
	fmt.Fprintf(&b, "\nRelease  %d %s, %s\nAddress  %s\n",
		r.Release, r.Source, r.Updated.Local().Format(time.DateTime), r.URL)
	r.writeFunctions(&b)
	r.writeAlarms(&b)
	if message := r.Errors[partLogs]; message != "" {
		fmt.Fprintf(&b, "\nLogs     not read: %s\n", message)
	} else if r.LogsProblem != "" {
		fmt.Fprintf(&b, "\nLogs     %s\n", r.LogsProblem)
	}
	r.writeDrift(&b)
	return b.String()
}

func (r StageStatus) writeFunctions(b *strings.Builder) {
	b.WriteString("\nFunctions\n")
	if message := r.Errors[partFunctions]; message != "" {
		fmt.Fprintf(b, "  not read: %s\n", message)
	}
	for _, f := range r.Functions {
		switch message := r.Errors[f.Name]; {
		case message != "":
			fmt.Fprintf(b, "  %-30s not read: %s\n", f.Name, message)
			continue
		case f.State == stateMissing:
			fmt.Fprintf(b, "  %-30s %s: %s\n", f.Name, f.State, f.Reason)
			continue
		}
		fmt.Fprintf(b, "  %-30s version %s, %s, %s", f.Name, f.Version, f.State, f.Package)
		for _, version := range slices.Sorted(maps.Keys(f.Shifting)) {
			fmt.Fprintf(b, "; %.0f %% go to version %s", f.Shifting[version]*100, version)
		}
		b.WriteString("\n")
	}
}

func (r StageStatus) writeAlarms(b *strings.Builder) {
	b.WriteString("\nAlarms\n")
	for _, name := range slices.Sorted(maps.Keys(r.Alarms)) {
		fmt.Fprintf(b, "  %-17s %s\n", r.Alarms[name], name)
	}
	switch message := r.Errors[partAlarms]; {
	case message != "":
		fmt.Fprintf(b, "  not read: %s\n", message)
	case len(r.Alarms) == 0:
		b.WriteString("  none\n")
	}
	switch message := r.Errors[partNotify]; {
	case message != "":
		fmt.Fprintf(b, "  notification not read: %s\n", message)
	case r.Notification.Confirmed:
		fmt.Fprintf(b, "  %s is notified\n", r.Notification.Email)
	case r.Notification.Email != "":
		fmt.Fprintf(b, "  %s is not notified: PENDING, %s\n", r.Notification.Email, r.Notification.Next)
	}
}

func (r StageStatus) writeDrift(b *strings.Builder) {
	message := r.Errors[partDrift]
	if message != "" {
		fmt.Fprintf(b, "\nDrift    some resources could not be compared with the template: %s\n", message)
	}
	switch {
	case len(r.Drift) > 0:
		fmt.Fprintf(b, "\nDrift    changed outside of a deployment:\n%s  %s reverts it\n", formatDrift(r.Drift), r.repair)
	case message != "":
	case r.Drift == nil:
		b.WriteString("\nDrift    not checked\n")
	default:
		b.WriteString("\nDrift    none: all resources match the template\n")
	}
}
