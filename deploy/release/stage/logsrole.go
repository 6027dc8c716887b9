package stage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"

	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
)

const gatewayPrincipal = "apigateway.amazonaws.com"

// LogsRoleParameter is the parameter that controls whether the stack creates the role with which API Gateway writes
// logs.
const LogsRoleParameter = "ApiGatewayLogsRole"

// Values of [LogsRoleParameter].
const (
	logsRoleCreate   = "Create"
	logsRoleExisting = "Existing"
)

// LogsRole chooses the value of [LogsRoleParameter], and prints what is wrong with the account's role. All APIs of an
// account and Region share that role: a stack that has created it keeps it, and a working role is not replaced. now is
// the current stack, or nil. ask asks whether to replace a role that does not work; nil means no.
func (s *Stage) LogsRole(ctx context.Context, now *Release, ask AskFunc) (string, error) {
	printer := s.settings.Printer
	choice, created := s.Parameters[LogsRoleParameter], createsLogsRole(now)
	switch {
	case choice == "" && created:
		choice = logsRoleCreate
	case choice == logsRoleCreate && !created:
		return choice, nil
	}
	arn, err := s.accountLogsRole(ctx)
	switch {
	case err != nil && choice == "":
		return "", err
	case err != nil:
		printer.Notef("%v", err)
		return choice, nil
	case choice == "" && arn == "":
		return logsRoleCreate, nil
	}
	problem, err := s.checkLogsRole(ctx, arn)
	switch {
	case err != nil:
		printer.Notef("%v", err)
	case problem != "" && choice == "" && ask != nil && confirmLogsRole(ctx, problem, ask):
		choice = logsRoleCreate
	case problem != "":
		printer.Notef("%s", s.withRemedy(problem, created && choice == logsRoleCreate))
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	return cmp.Or(choice, logsRoleExisting), nil
}

// LogsProblem returns why API Gateway writes no logs for the stage and how to fix it, or "" if no problem is found.
func (s *Stage) LogsProblem(ctx context.Context, now *Release) (string, error) {
	arn, err := s.accountLogsRole(ctx)
	if err != nil {
		return "", err
	}
	problem, err := s.checkLogsRole(ctx, arn)
	if problem == "" {
		return "", err
	}
	return s.withRemedy(problem, createsLogsRole(now)), nil
}

// confirmLogsRole asks the user, and reports whether the stack may create the role.
func confirmLogsRole(ctx context.Context, problem string, ask AskFunc) bool {
	reply, err := ask(ctx, problem+".\nCreate a role with this stack, and set it for all APIs of the account? "+
		"Type yes, or press Enter to continue without it: ")
	return err == nil && reply == "yes"
}

// createsLogsRole reports whether the stack has created the account's role.
func createsLogsRole(now *Release) bool {
	if now == nil || now.Template == nil {
		return false
	}
	resources, err := now.Template.Resources()
	return err == nil && slices.Contains(slices.Collect(maps.Values(resources)), "AWS::ApiGateway::Account")
}

// accountLogsRole returns the ARN of the role of the account and Region, or "".
func (s *Stage) accountLogsRole(ctx context.Context) (string, error) {
	settings, err := apigateway.NewFromConfig(s.Account.Config).GetAccount(ctx, &apigateway.GetAccountInput{})
	if err != nil {
		return "", fmt.Errorf("read API Gateway's role for logs: %w", awserrors.Explain(err))
	}
	return aws.ToString(settings.CloudwatchRoleArn), nil
}

// checkLogsRole returns why API Gateway cannot write logs with a role, or "" if no problem is found. API Gateway itself
// reports no error if the role does not exist: it silently writes no logs.
func (s *Stage) checkLogsRole(ctx context.Context, arn string) (string, error) {
	consequence := fmt.Sprintf("API Gateway writes no logs in %s", s.Account.Region)
	if arn == "" {
		return consequence + ": the account has no role for that", nil
	}
	name := path.Base(arn) // without the role's path
	out, err := iam.NewFromConfig(s.Account.Config).GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	if _, missing := errors.AsType[*iamtypes.NoSuchEntityException](err); missing {
		return fmt.Sprintf("%s: the account's role for that, %s, does not exist", consequence, arn), nil
	}
	if err != nil {
		return "", fmt.Errorf("check whether API Gateway can write logs in %s with the role %s: %w",
			s.Account.Region, arn, awserrors.Explain(err))
	}
	trust, err := url.QueryUnescape(aws.ToString(out.Role.AssumeRolePolicyDocument))
	if err == nil && !strings.Contains(trust, gatewayPrincipal) {
		return fmt.Sprintf("%s: the account's role for that, %s, does not let %s assume it",
			consequence, arn, gatewayPrincipal), nil
	}
	return "", nil
}

// withRemedy appends to a problem how to fix it. ownRole is whether the stack creates the role.
func (s *Stage) withRemedy(problem string, ownRole bool) string {
	if ownRole {
		return fmt.Sprintf("%s. The stack creates that role: %s creates it again", problem, s.RepairCommand())
	}
	return fmt.Sprintf("%s. To have the stack create one for all APIs of the account, set %s: %s in "+
		"deploy/stages/%s.yaml, and run %s", problem, LogsRoleParameter, logsRoleCreate, s.Name, s.Command("deploy"))
}
