package release

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	cftypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/userrequestapi/userdata/deploy/awserror"
	"github.com/userrequestapi/userdata/deploy/build"
	"github.com/userrequestapi/userdata/deploy/stack"
	"github.com/userrequestapi/userdata/deploy/template"
)

// Deploy brings the stage to what the source says: it builds and uploads what has changed, has CloudFormation change the
// stack, and tries the stage out. Nothing to change is a success. Ended in the middle, it can be run again.
func Deploy(ctx context.Context, settings Settings) error {
	return finish(ctx, deploy(ctx, settings))
}

func deploy(ctx context.Context, settings Settings) error {
	s, err := open(ctx, settings)
	if err != nil {
		return err
	}
	functions, err := s.functions()
	if err != nil {
		return err
	}
	packages, remove, err := s.packages(ctx, functions)
	if err != nil {
		return err
	}
	defer remove()
	if err := s.upload(ctx, packages); err != nil {
		return err
	}
	s.Printer.Stepf("Changing the stack %s", s.stackName())
	now, err := s.settle(ctx)
	if err != nil {
		return err
	}
	rendered, err := s.render(ctx, now, packages)
	if err != nil {
		return err
	}
	if now == nil {
		if now, err = s.adopt(ctx, rendered); err != nil {
			return err
		}
	}
	if err := s.release(ctx, now, rendered); err != nil {
		return err
	}
	if now, err = s.deployed(ctx); err != nil {
		return err
	}
	if s.Smoke {
		if err := s.smoke(ctx, now); err != nil {
			return fmt.Errorf("the stage is deployed, but does not work as it should: %w\nTake the release back with %s",
				err, s.command("rollback"))
		}
	}
	s.Printer.Result(now.Outputs, s.describe(now))
	return nil
}

// render completes the template for the account, the packages and the stack as it is (nil: there is none).
func (s *session) render(ctx context.Context, now *current, packages map[string]build.Package) (*template.Rendered, error) {
	parameters := s.parameters()
	parameters[bucketParameter] = s.bucket.Name()
	if parameters[logsRoleParameter] == "" {
		choice, err := s.logsRole(ctx, now)
		if err != nil {
			return nil, err
		}
		parameters[logsRoleParameter] = choice
	}
	return s.source.Render(template.Options{Parameters: parameters, Code: keys(packages)})
}

func keys(packages map[string]build.Package) map[string]string {
	keys := map[string]string{}
	for id, p := range packages {
		keys[id] = p.Key
	}
	return keys
}

// logsRole chooses whether the stack makes the role by which API Gateway writes access logs. There is one for all APIs of
// the account in the region: a stack that has made it keeps it, and another is not replaced.
func (s *session) logsRole(ctx context.Context, now *current) (string, error) {
	if now != nil && now.Parameters[logsRoleParameter] == logsRoleCreate {
		return logsRoleCreate, nil
	}
	settings, err := apigateway.NewFromConfig(s.account.Config).GetAccount(ctx, &apigateway.GetAccountInput{})
	if err != nil {
		return "", fmt.Errorf("look for API Gateway's role for logs: %w", awserror.Explain(err))
	}
	if aws.ToString(settings.CloudwatchRoleArn) == "" {
		return logsRoleCreate, nil
	}
	return logsRoleExisting, nil
}

// adopt takes the stage's table into a new stack where there is one already: that of a stage that was destroyed, for its
// table stays, or of a first deployment that failed.
func (s *session) adopt(ctx context.Context, rendered *template.Rendered) (*current, error) {
	table, logicalID, name, ok := rendered.TableOnly()
	if !ok {
		return nil, nil
	}
	described, err := dynamodb.NewFromConfig(s.account.Config).DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
	if _, absent := errors.AsType[*dbtypes.ResourceNotFoundException](err); absent {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for the table %s: %w", name, awserror.Explain(err))
	}
	key := described.Table.KeySchema
	if len(key) != 1 || aws.ToString(key[0].AttributeName) != "userId" {
		return nil, withCode(CodeRefused, fmt.Errorf("there is a table %s already, whose key is not userId alone: "+
			"it cannot keep the users. Rename the stage, or move that table away", name))
	}
	s.Printer.Notef("the table %s is there already: it is taken into the stack as it is", name)
	plan, err := s.stack.Plan(ctx, stack.Input{
		TemplateBody: table.JSON(),
		Parameters:   table.Parameters(),
		Description:  "Take in the table " + name,
		Import: []cftypes.ResourceToImport{{
			LogicalResourceId:  &logicalID,
			ResourceType:       aws.String(tableType),
			ResourceIdentifier: map[string]string{"TableName": name},
		}},
	})
	if err != nil {
		return nil, err
	}
	if err := s.execute(ctx, plan, table); err != nil {
		return nil, err
	}
	return s.look(ctx)
}

// release makes the template the stage's next release.
func (s *session) release(ctx context.Context, now *current, rendered *template.Rendered) error {
	next := record{Number: 1, Source: s.commit(ctx)}
	if now != nil {
		next.Number, next.Previous = now.record.Number+1, now.record.Key
	}
	if err := s.sign(rendered, next); err != nil {
		return err
	}
	return s.change(ctx, now, rendered)
}

// sign writes the record into the template, completed by what follows from that.
func (s *session) sign(rendered *template.Rendered, r record) error {
	if err := rendered.SetMetadata(map[string]any{}); err != nil { // that of an earlier release must not count
		return err
	}
	digest := sha256.Sum256(rendered.JSON())
	r.Digest = hex.EncodeToString(digest[:])
	r.Key = fmt.Sprintf("templates/%s/%06d-%.16s.json", s.stackName(), r.Number, r.Digest)
	r.Parameters = rendered.Parameters()
	return rendered.SetMetadata(r.metadata())
}

// attempts is how often a change is planned anew because another deployment came in between.
const attempts = 3

// change makes the stack what the template says.
func (s *session) change(ctx context.Context, now *current, rendered *template.Rendered) error {
	// CloudFormation says the same of a plan without changes, but takes its time for it. After a failure it must have its
	// say.
	steady := now != nil && (now.Status == cftypes.StackStatusCreateComplete || now.Status == cftypes.StackStatusUpdateComplete)
	if next := recordOf(rendered); steady && now.record.Digest == next.Digest && maps.Equal(now.Parameters, next.Parameters) {
		s.Printer.Notef("nothing to change")
		return nil
	}
	input, err := s.input(ctx, rendered)
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		plan, err := s.stack.Plan(ctx, input)
		if err == nil && plan.Empty() {
			s.Printer.Notef("nothing to change")
			return nil
		}
		if err == nil {
			s.Printer.Plan(plan)
			if err := s.guard(now, rendered, plan); err != nil {
				return errors.Join(err, s.stack.Discard(ctx, plan))
			}
			err = s.execute(ctx, plan, rendered)
		}
		if !errors.Is(err, stack.ErrStale) || attempt == attempts {
			return err
		}
		s.Printer.Notef("another deployment has come in between: planning anew")
		if now, err = s.settle(ctx); err != nil {
			return err
		}
	}
}

// input uploads the template, which is too long to be sent along, and returns what the stack's driver takes.
func (s *session) input(ctx context.Context, rendered *template.Rendered) (stack.Input, error) {
	r := recordOf(rendered)
	if _, err := s.bucket.Upload(ctx, r.Key, rendered.JSON()); err != nil {
		return stack.Input{}, err
	}
	return stack.Input{
		TemplateURL: s.bucket.URL(r.Key),
		Parameters:  rendered.Parameters(),
		Description: fmt.Sprintf("Release %d %s", r.Number, r.Source),
	}, nil
}

func (s *session) execute(ctx context.Context, plan *stack.Plan, rendered *template.Rendered) error {
	s.watch = s.Printer.Watch(plan.Changes, rendered.Dependencies())
	defer func() {
		s.watch.Close()
		s.watch = nil
	}()
	return s.stack.Apply(ctx, plan)
}

// guard refuses what would replace the table or take it away, unless that was asked for by the table's name. It does not
// rely on the plan alone: by its template, the stack has a table of its own or not.
func (s *session) guard(now *current, rendered *template.Rendered, plan *stack.Plan) error {
	if now == nil || now.template == nil {
		return nil
	}
	_, id, name, ok := now.template.TableOnly()
	if !ok {
		return nil
	}
	what, properties := "", ""
	if _, _, after, ok := rendered.TableOnly(); !ok || after != name {
		what = "takes out of the stack"
	}
	for _, change := range plan.Changes {
		if change.LogicalID == id && change.Action == "Modify" && change.Replacement != "" && change.Replacement != "False" {
			what, properties = "replaces", " by changing "+strings.Join(change.Properties, ", ")
		}
	}
	if what == "" {
		return nil
	}
	if s.ReplaceTable == name {
		s.Printer.Notef("the table %s may go, as REPLACE_TABLE says", name)
		return nil
	}
	return withCode(CodeRefused, fmt.Errorf("refused, nothing was done: the change %s the table %s, which has the users%s. "+
		"If that is what you want, say so with REPLACE_TABLE=%[2]s",
		what, name, properties))
}

// describe tells a person where the stage is and how to call it.
func (s *session) describe(now *current) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nStage %s is release %d", s.stage.Name, now.record.Number)
	if now.record.Source != "" {
		fmt.Fprintf(&b, " (%s)", now.record.Source)
	}
	b.WriteString(".\n\n")
	names := slices.Sorted(maps.Keys(now.Outputs))
	width := 0
	for _, name := range names {
		width = max(width, len(name))
	}
	for _, name := range names {
		fmt.Fprintf(&b, "  %-*s  %s\n", width, name, now.Outputs[name])
	}
	url := s.invokeURL(now) + "/users?limit=10"
	b.WriteString("\nCall it:\n\n")
	switch authorization := now.Parameters[authorizationParameter]; authorization {
	case "AWS_IAM":
		fmt.Fprintf(&b, `  eval "$(aws configure export-credentials --format env)"
  curl --aws-sigv4 "aws:amz:%s:execute-api" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
    -H "X-Amz-Security-Token: $AWS_SESSION_TOKEN" '%s'`, s.account.Region, url)
	case "API_KEY":
		fmt.Fprintf(&b, `  curl -H "X-Api-Key: $(aws apigateway get-api-key --api-key %s --include-value --query value --output text)" '%s'`,
			now.Outputs["ApiKeyId"], url)
	case "COGNITO_USER_POOLS":
		fmt.Fprintf(&b, `  curl -H "Authorization: $TOKEN" '%s'   # TOKEN: an ID token of the user pool`, url)
	default:
		fmt.Fprintf(&b, "  curl '%s'", url)
	}
	b.WriteString("\n")
	return b.String()
}

// invokeURL is the address of the stage.
func (s *session) invokeURL(now *current) string {
	if s.InvokeURL == "" {
		return now.Outputs["InvokeURL"]
	}
	return strings.NewReplacer("{ApiId}", now.Outputs["ApiId"], "{StageName}", s.stage.Name).Replace(s.InvokeURL)
}
