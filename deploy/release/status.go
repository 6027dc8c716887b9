package release

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cftypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/userrequestapi/userdata/deploy/awserror"
	"github.com/userrequestapi/userdata/deploy/stack"
)

// StageStatus is what [Status] tells.
type StageStatus struct {
	Stage     string           `json:"stage"`
	Stack     string           `json:"stack"`
	Status    string           `json:"status"`
	Reason    string           `json:"reason,omitempty"`
	Failure   string           `json:"failure,omitempty"` // why the latest deployment failed
	Updated   time.Time        `json:"updated"`
	Release   int              `json:"release"`
	Source    string           `json:"source,omitempty"`
	Functions []FunctionStatus `json:"functions"`
	Drift     []stack.Drift    `json:"drift"` // the resources that are not as the template has them; null where nobody looked
	// DriftError is why not all resources could be compared.
	DriftError string            `json:"driftError,omitempty"`
	Alarms     map[string]string `json:"alarms"`
	URL        string            `json:"url"`
}

// FunctionStatus is a function's version that serves requests.
type FunctionStatus struct {
	Name     string             `json:"name"`
	Version  string             `json:"version"`
	Shifting map[string]float64 `json:"shifting,omitempty"` // the share of requests that other versions serve, during a gradual release
	Package  string             `json:"package"`            // its key in the bucket
	State    string             `json:"state"`
}

// Status tells how the stage is: its stack, the versions that serve, what was changed by other means, and its alarms.
func Status(ctx context.Context, settings Settings) error {
	return finish(ctx, settings, status(ctx, settings))
}

func status(ctx context.Context, settings Settings) error {
	s, err := open(ctx, settings)
	if err != nil {
		return err
	}
	now, err := s.look(ctx)
	if err == nil && now == nil {
		_, err = s.deployed(ctx)
	}
	if err != nil {
		return err
	}
	result := StageStatus{
		Stage: s.stage.Name, Stack: now.Name, Status: string(now.Status), Reason: now.Reason, Updated: now.Updated,
		Release: now.record.Number, Source: now.record.Source, URL: s.invokeURL(now),
	}
	if result.Updated.IsZero() {
		result.Updated = now.Created
	}
	switch failure, err := s.stack.LastFailure(ctx); {
	case err != nil:
		return err
	case failure != nil:
		result.Failure = failure.Error()
	}
	if now.serves() {
		if err := s.detail(ctx, now, &result); err != nil {
			return err
		}
	}
	s.Printer.Result(result, result.text())
	return nil
}

// detail adds what a stage that was deployed has.
func (s *session) detail(ctx context.Context, now *current, result *StageStatus) (err error) {
	if result.Functions, err = s.functionStatus(ctx, now); err != nil {
		return err
	}
	if result.Alarms, err = s.alarms(ctx); err != nil {
		return err
	}
	if s.Drift && !now.InProgress() {
		s.Printer.Notef("comparing the stage with its template (DRIFT=0 leaves that out)…")
		if result.Drift, err = s.stack.Drift(ctx); err != nil && ctx.Err() == nil {
			result.DriftError, err = err.Error(), nil
		}
	}
	return err
}

func (s *session) functionStatus(ctx context.Context, now *current) ([]FunctionStatus, error) {
	client := lambda.NewFromConfig(s.account.Config)
	resources, err := s.stack.Resources(ctx)
	if err != nil {
		return nil, err
	}
	code := map[string]string{}
	if now.template != nil {
		code = now.template.Code()
	}
	var functions []FunctionStatus
	for _, r := range resources {
		if r.Type != "AWS::Lambda::Function" || r.Status == cftypes.ResourceStatusDeleteComplete {
			continue
		}
		alias, err := client.GetAlias(ctx, &lambda.GetAliasInput{FunctionName: &r.PhysicalID, Name: aws.String(aliasName)})
		if err != nil {
			return nil, fmt.Errorf("look at the function %s: %w", r.PhysicalID, awserror.Explain(err))
		}
		configuration, err := client.GetFunctionConfiguration(ctx,
			&lambda.GetFunctionConfigurationInput{FunctionName: &r.PhysicalID, Qualifier: aws.String(aliasName)})
		if err != nil {
			return nil, fmt.Errorf("look at the function %s: %w", r.PhysicalID, awserror.Explain(err))
		}
		f := FunctionStatus{
			Name: r.PhysicalID, Version: aws.ToString(alias.FunctionVersion), Package: code[r.LogicalID], State: string(configuration.State),
		}
		if alias.RoutingConfig != nil {
			f.Shifting = alias.RoutingConfig.AdditionalVersionWeights
		}
		functions = append(functions, f)
	}
	return functions, nil
}

// alarms returns the states of the stack's alarms by their names.
func (s *session) alarms(ctx context.Context) (map[string]string, error) {
	resources, err := s.stack.Resources(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, r := range resources {
		if r.Status == cftypes.ResourceStatusDeleteComplete {
			continue
		}
		if r.Type == "AWS::CloudWatch::Alarm" || r.Type == "AWS::CloudWatch::CompositeAlarm" {
			names = append(names, path.Base(r.PhysicalID))
		}
	}
	states := map[string]string{}
	if len(names) == 0 {
		return states, nil
	}
	pages := cloudwatch.NewDescribeAlarmsPaginator(cloudwatch.NewFromConfig(s.account.Config), &cloudwatch.DescribeAlarmsInput{
		AlarmNames: names, AlarmTypes: []cwtypes.AlarmType{cwtypes.AlarmTypeMetricAlarm, cwtypes.AlarmTypeCompositeAlarm},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("look at the alarms: %w", awserror.Explain(err))
		}
		for _, a := range page.MetricAlarms {
			states[aws.ToString(a.AlarmName)] = string(a.StateValue)
		}
		for _, a := range page.CompositeAlarms {
			states[aws.ToString(a.AlarmName)] = string(a.StateValue)
		}
	}
	return states, nil
}

// text is the status for a person to read.
func (r StageStatus) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nStack    %s: %s", r.Stack, r.Status)
	if r.Reason != "" {
		fmt.Fprintf(&b, " (%s)", r.Reason)
	}
	if r.Failure != "" {
		fmt.Fprintf(&b, "\nFailure  %s", r.Failure)
	}
	if r.Functions == nil {
		b.WriteString("\nNothing serves yet.\n")
		return b.String()
	}
	fmt.Fprintf(&b, "\nRelease  %d %s, %s\nAddress  %s\n\nFunctions\n",
		r.Release, r.Source, r.Updated.Local().Format(time.DateTime), r.URL)
	for _, f := range r.Functions {
		fmt.Fprintf(&b, "  %-30s version %s, %s, %s", f.Name, f.Version, f.State, f.Package)
		for _, version := range slices.Sorted(maps.Keys(f.Shifting)) {
			fmt.Fprintf(&b, "; %.0f %% go to version %s", f.Shifting[version]*100, version)
		}
		b.WriteString("\n")
	}
	b.WriteString("\nAlarms\n")
	for _, name := range slices.Sorted(maps.Keys(r.Alarms)) {
		fmt.Fprintf(&b, "  %-17s %s\n", r.Alarms[name], name)
	}
	if len(r.Alarms) == 0 {
		b.WriteString("  none\n")
	}
	if r.DriftError != "" {
		fmt.Fprintf(&b, "\nNot everything could be compared with the template: %s\n", r.DriftError)
	}
	switch {
	case r.DriftError != "" && len(r.Drift) == 0:
	case r.Drift == nil:
		b.WriteString("\nDrift    not looked for\n")
	case len(r.Drift) == 0:
		b.WriteString("\nDrift    none: everything is as the template has it\n")
	default:
		b.WriteString("\nDrift    changed by other means than a deployment:\n")
		for _, d := range r.Drift {
			fmt.Fprintf(&b, "  %-9s %s (%s) %s\n", d.Status, d.LogicalID, d.Type, strings.Join(d.Properties, ", "))
		}
	}
	return b.String()
}
