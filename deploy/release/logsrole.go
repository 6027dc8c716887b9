package release

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

// logsRole returns the value of the parameter ApiGatewayLogsRole, which controls whether the stack creates the role
// with which API Gateway writes logs. All APIs of an account and Region share that role: a stack that has created it
// keeps it, and a working role is not replaced. given is the value in the stage's file, or "".
func (s *session) logsRole(ctx context.Context, now *current, given string) (string, error) {
	if s.roleChoice == "" {
		choice, err := s.chooseLogsRole(ctx, now, given)
		if err != nil {
			return "", err
		}
		s.roleChoice = choice
	}
	return s.roleChoice, nil
}

// chooseLogsRole is logsRole without the cache. It also prints what is wrong with the account's role.
func (s *session) chooseLogsRole(ctx context.Context, now *current, given string) (string, error) {
	choice, created := given, createsLogsRole(now)
	switch {
	case given == "" && created:
		choice = logsRoleCreate
	case given == logsRoleCreate && !created:
		return given, nil
	}
	arn, err := s.accountLogsRole(ctx)
	switch {
	case err != nil && choice == "":
		return "", err
	case err != nil:
		s.Printer.Notef("%v", err)
		return choice, nil
	case choice == "" && arn == "":
		return logsRoleCreate, nil
	}
	problem, err := s.checkLogsRole(ctx, arn)
	switch {
	case err != nil:
		s.Printer.Notef("%v", err)
	case problem != "" && choice == "" && s.confirmLogsRole(problem):
		choice = logsRoleCreate
	case problem != "":
		s.Printer.Notef("%s", s.withRemedy(problem, created && choice == logsRoleCreate))
	}
	return cmp.Or(choice, logsRoleExisting), nil
}

// createsLogsRole reports whether the stack has created the account's role.
func createsLogsRole(now *current) bool {
	if now == nil || now.template == nil {
		return false
	}
	resources, err := now.template.Resources()
	return err == nil && slices.Contains(slices.Collect(maps.Values(resources)), accountType)
}

// accountLogsRole returns the ARN of the role of the account and Region, or "".
func (s *session) accountLogsRole(ctx context.Context) (string, error) {
	settings, err := apigateway.NewFromConfig(s.account.Config).GetAccount(ctx, &apigateway.GetAccountInput{})
	if err != nil {
		return "", fmt.Errorf("read API Gateway's role for logs: %w", awserrors.Explain(err))
	}
	return aws.ToString(settings.CloudwatchRoleArn), nil
}

// checkLogsRole returns why API Gateway cannot write logs with a role, or "" if no problem is found. API Gateway itself
// reports no error if the role does not exist: it silently writes no logs.
func (s *session) checkLogsRole(ctx context.Context, arn string) (string, error) {
	consequence := fmt.Sprintf("API Gateway writes no logs in %s", s.account.Region)
	if arn == "" {
		return consequence + ": the account has no role for that", nil
	}
	name := path.Base(arn) // without the role's path
	out, err := iam.NewFromConfig(s.account.Config).GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	if _, missing := errors.AsType[*iamtypes.NoSuchEntityException](err); missing {
		return fmt.Sprintf("%s: the account's role for that, %s, does not exist", consequence, arn), nil
	}
	if err != nil {
		return "", fmt.Errorf("check whether API Gateway can write logs in %s with the role %s: %w",
			s.account.Region, arn, awserrors.Explain(err))
	}
	trust, err := url.QueryUnescape(aws.ToString(out.Role.AssumeRolePolicyDocument))
	if err == nil && !strings.Contains(trust, gatewayPrincipal) {
		return fmt.Sprintf(
			"%s: the account's role for that, %s, does not let %s assume it",
			consequence,
			arn,
			gatewayPrincipal,
		), nil
	}
	return "", nil
}

// logsProblem returns why API Gateway writes no logs for the stage and how to fix it, or "" if no problem is found.
func (s *session) logsProblem(ctx context.Context, now *current) (string, error) {
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

// withRemedy appends to a problem how to fix it. ownRole is whether the stack creates the role.
func (s *session) withRemedy(problem string, ownRole bool) string {
	if ownRole {
		return fmt.Sprintf(
			"%s. The stack creates that role: %s creates it again",
			problem,
			s.command(deployTarget, revertDriftSetting+"=1"),
		)
	}
	return fmt.Sprintf(
		"%s. To have the stack create one for all APIs of the account, set %s: %s in deploy/stages/%s.yaml, and run %s",
		problem,
		logsRoleParameter,
		logsRoleCreate,
		s.stage.Name,
		s.command(deployTarget),
	)
}

// confirmLogsRole asks the user whether the stack should create the role, and reports the reply. Only a deployment
// asks.
func (s *session) confirmLogsRole(problem string) bool {
	if s.Ask == nil || s.target != deployTarget {
		return false
	}
	reply, err := s.Ask(problem + ".\nCreate a role with this stack, and set it for all APIs of the account? " +
		"Type yes, or press Enter to continue without it: ")
	return err == nil && reply == "yes"
}
