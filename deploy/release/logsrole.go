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

// logsRole returns the value of the parameter ApiGatewayLogsRole: whether the stack makes the role that API Gateway
// writes logs with. All APIs of an account and Region share that role, so a stack that has made it keeps it, and a role
// that works is not replaced. given is the value in the stage's file, "" if it has none.
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

// chooseLogsRole looks at the account, and says what is wrong with its role.
func (s *session) chooseLogsRole(ctx context.Context, now *current, given string) (string, error) {
	choice, made := given, makesLogsRole(now)
	switch {
	case given == "" && made:
		choice = logsRoleCreate
	case given == logsRoleCreate && !made:
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
	problem, err := s.problemOf(ctx, arn)
	switch {
	case err != nil:
		s.Printer.Notef("%v", err)
	case problem != "" && choice == "" && s.offersLogsRole(problem):
		choice = logsRoleCreate
	case problem != "":
		s.Printer.Notef("%s", s.withRemedy(problem, made && choice == logsRoleCreate))
	}
	return cmp.Or(choice, logsRoleExisting), nil
}

// makesLogsRole reports whether the stack has made the role for the account.
func makesLogsRole(now *current) bool {
	if now == nil || now.template == nil {
		return false
	}
	resources, err := now.template.Resources()
	return err == nil && slices.Contains(slices.Collect(maps.Values(resources)), accountType)
}

// accountLogsRole returns the ARN of the role that is set for the account and Region, "" if none is.
func (s *session) accountLogsRole(ctx context.Context) (string, error) {
	settings, err := apigateway.NewFromConfig(s.account.Config).GetAccount(ctx, &apigateway.GetAccountInput{})
	if err != nil {
		return "", fmt.Errorf("look for API Gateway's role for logs: %w", awserrors.Explain(err))
	}
	return aws.ToString(settings.CloudwatchRoleArn), nil
}

// problemOf returns why API Gateway cannot write logs with a role, "" if it seems that it can. API Gateway itself
// reports no error for a role that does not exist: it writes no logs.
func (s *session) problemOf(ctx context.Context, arn string) (string, error) {
	consequence := fmt.Sprintf("API Gateway writes no logs in %s", s.account.Region)
	if arn == "" {
		return consequence + ": no role is set for that in the account", nil
	}
	name := path.Base(arn) // the path before the name, if any, is not part of it
	out, err := iam.NewFromConfig(s.account.Config).GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	if _, missing := errors.AsType[*iamtypes.NoSuchEntityException](err); missing {
		return fmt.Sprintf("%s: the account's role for that, %s, does not exist", consequence, arn), nil
	}
	if err != nil {
		return "", fmt.Errorf("whether API Gateway can write logs in %s is not known: look at the role %s: %w",
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

// logsProblem returns why API Gateway writes no logs of a stage, and what to do about it; "" if nothing is known to
// prevent it. The error says why that could not be found out.
func (s *session) logsProblem(ctx context.Context, now *current) (string, error) {
	arn, err := s.accountLogsRole(ctx)
	if err != nil {
		return "", err
	}
	problem, err := s.problemOf(ctx, arn)
	if problem == "" {
		return "", err
	}
	return s.withRemedy(problem, makesLogsRole(now)), nil
}

// withRemedy adds to a problem what to do about it. ownRole is whether the stack makes the role.
func (s *session) withRemedy(problem string, ownRole bool) string {
	if ownRole {
		return fmt.Sprintf(
			"%s. The stack makes that role: %s creates it again",
			problem,
			s.command(deployTarget, revertDriftSetting+"=1"),
		)
	}
	return fmt.Sprintf(
		"%s. To have the stack make one, for all APIs of the account: set %s: %s in deploy/stages/%s.yaml, and run %s",
		problem,
		logsRoleParameter,
		logsRoleCreate,
		s.stage.Name,
		s.command(deployTarget),
	)
}

// offersLogsRole asks whether the stack shall make the role, and reports the answer. Only a deployment asks.
func (s *session) offersLogsRole(problem string) bool {
	if s.Ask == nil || s.target != deployTarget {
		return false
	}
	answer, err := s.Ask(problem + ".\nHave this stack make a role, and set it for all APIs of the account? " +
		"Type yes, or press Enter to go on without: ")
	return err == nil && answer == "yes"
}
