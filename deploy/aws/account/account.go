// Package account loads the AWS configuration and credentials and identifies the account that a stage is deployed to.
package account

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"

	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
	"github.com/userrequestapi/userdata/deploy/host/command"
)

// Account is an AWS account with the credentials of a caller.
type Account struct {
	ID        string // 12 digits
	ARN       string // of the caller
	Region    string
	Partition string     // such as aws
	Endpoint  string     // the endpoint of all services (AWS_ENDPOINT_URL); "" means the default endpoints
	Config    aws.Config // for service clients; it includes the retry settings
}

// Options supplements the environment variables and the shared configuration files.
type Options struct {
	// Region is the default Region.
	Region string
	// Endpoint is the endpoint of all services; "" means AWS_ENDPOINT_URL, if set, or the default endpoints.
	Endpoint string
	// Ask prompts for the MFA code that a role requires. It is nil without a terminal.
	Ask func(ctx context.Context, question string) (string, error)
	// Waiting, if not nil, is called before a retry is delayed for a second or more, with a message that has the reason
	// and the delay. It must be safe for concurrent use.
	Waiting func(message string)
	// Line formats the commands in messages.
	Line command.Line
	// Resolver resolves the endpoints of AWS; nil means the default resolver.
	Resolver *net.Resolver
}

// Retry settings and timeouts. A deployment makes few calls and needs each of them, so it retries more often than the
// SDK. The delays of a call add up to at most 44 s (2, 4, 8, 10, 10 and 10 s, the first three with jitter).
const (
	attempts   = 7
	maxBackoff = 10 * time.Second
	noticeable = time.Second // the shortest delay that is reported
	// The user waits for the first call.
	firstAttempts   = 3
	dialTimeout     = 5 * time.Second
	responseTimeout = time.Minute // from the end of the request to the response header
)

// Open finds the credentials as the AWS CLI does, in the environment first (AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_REGION,
// AWS_ENDPOINT_URL and others, see the "AWS SDKs and Tools Reference Guide"), and calls GetCallerIdentity. Its errors
// have the cause and the next step; errors of the SDK are an [*awserrors.Error].
func Open(ctx context.Context, options Options) (*Account, error) {
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithBaseEndpoint(options.Endpoint),
		config.WithDefaultRegion(options.Region),
		config.WithRetryer(options.retryer),
		config.WithHTTPClient(httpClient(options.Resolver)),
		config.WithAssumeRoleCredentialOptions(func(o *stscreds.AssumeRoleOptions) {
			if options.Ask != nil {
				o.TokenProvider = func() (string, error) {
					return options.Ask(ctx, "MFA code of "+aws.ToString(o.SerialNumber)+": ")
				}
			}
		}),
		config.WithLogger(logging.Nop{}), // errors suffice
	)
	if err != nil {
		return nil, fmt.Errorf("load the AWS configuration: %w", explainConfig(err, options.Line))
	}
	if cfg.Region == "" {
		return nil, fmt.Errorf("load the AWS configuration: %w", &awserrors.Error{
			Kind:  awserrors.Region,
			Cause: "no Region is set",
			Next: "set AWS_REGION, such as AWS_REGION=eu-central-1, or set a Region in the profile: " +
				options.Line.CLI("configure set region eu-central-1"),
			Err: &aws.MissingRegionError{},
		})
	}
	cfg.APIOptions = append(cfg.APIOptions, explainCredentials(cfg, options.Line))
	identity, err := sts.NewFromConfig(cfg, func(o *sts.Options) { o.RetryMaxAttempts = firstAttempts }).
		GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if ctx.Err() != nil {
		return nil, fmt.Errorf("get the caller identity: %w", context.Cause(ctx))
	}
	if err != nil {
		if regionErr := checkRegion(ctx, options.Resolver, cfg, err); regionErr != nil {
			err = regionErr
		}
		return nil, fmt.Errorf("get the caller identity: %w", explain(err, cfg, options.Line))
	}
	caller, err := arn.Parse(aws.ToString(identity.Arn))
	if err != nil {
		return nil, fmt.Errorf("get the caller identity: %w", err)
	}
	return &Account{
		ID:        aws.ToString(identity.Account),
		ARN:       aws.ToString(identity.Arn),
		Region:    cfg.Region,
		Partition: caller.Partition,
		Endpoint:  aws.ToString(cfg.BaseEndpoint),
		Config:    cfg,
	}, nil
}

// retryer returns a retryer without a retry quota: polling during a network failure would use up the SDK's.
func (options Options) retryer() aws.Retryer {
	backoff := retry.NewExponentialJitterBackoff(maxBackoff)
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = attempts
		o.RateLimiter = ratelimit.None
		o.Backoff = retry.BackoffDelayerFunc(func(attempt int, err error) (time.Duration, error) {
			delay, delayErr := backoff.BackoffDelay(attempt, err)
			if delayErr == nil && delay >= noticeable && options.Waiting != nil {
				options.Waiting(fmt.Sprintf("%s: retrying in %s", cause(err), delay.Round(time.Second)))
			}
			return delay, delayErr
		})
	})
}

// cause returns the cause of an error of the SDK without the next step.
func cause(err error) string {
	if e, ok := errors.AsType[*awserrors.Error](awserrors.Explain(err)); ok {
		return e.Cause
	}
	return err.Error()
}

// httpClient returns a client with shorter timeouts than the SDK's. It supports AWS_CA_BUNDLE and HTTPS_PROXY.
func httpClient(resolver *net.Resolver) *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout, d.Resolver = dialTimeout, resolver }).
		WithTransportOptions(func(t *http.Transport) { t.ResponseHeaderTimeout = responseTimeout })
}

// globalHost is the host name of an AWS endpoint that does not depend on the Region.
const globalHost = "sts.amazonaws.com"

// checkRegion returns an error if err means that the configured Region does not exist, nil otherwise. The SDK derives a
// host name from any Region. If globalHost cannot be resolved either, the network is at fault.
func checkRegion(ctx context.Context, resolver *net.Resolver, cfg aws.Config, err error) error {
	dns, ok := errors.AsType[*net.DNSError](err)
	if !ok || !dns.IsNotFound || cfg.BaseEndpoint != nil || !strings.Contains(dns.Name, cfg.Region) {
		return nil
	}
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	if addresses, _ := resolver.LookupHost(ctx, globalHost); len(addresses) == 0 {
		return nil
	}
	return &awserrors.Error{
		Kind: awserrors.Region,
		Cause: fmt.Sprintf("there is no Region %q: the host %s does not exist", cfg.Region,
			strings.TrimSuffix(dns.Name, ".")),
		Next: "set AWS_REGION, or the region of the profile, to one such as eu-central-1",
		Err:  err,
	}
}

// explainConfig explains why the SDK configuration could not be loaded. All causes concern the credentials.
func explainConfig(err error, line command.Line) error {
	e, ok := errors.AsType[*awserrors.Error](awserrors.Explain(err))
	if !ok {
		e = &awserrors.Error{Kind: awserrors.NoCredentials, Cause: err.Error(), Err: err}
	}
	if _, ok := errors.AsType[config.AssumeRoleTokenProviderNotSetError](err); ok {
		e.Next = "the role of the profile requires an MFA code, and there is no terminal to enter it: " +
			"export credentials in a terminal first, with\n" +
			`eval "$(` + line.CLI("configure export-credentials --format env") + `)"`
	}
	if profile, ok := errors.AsType[config.SharedConfigProfileNotExistError](err); ok {
		e.Next = fmt.Sprintf("set AWS_PROFILE to a profile in the output of %s, or create it with %s",
			line.CLI("configure list-profiles"), line.CLI("configure --profile "+command.Quote(profile.Profile)))
	}
	return e
}

// explainCredentials returns middleware that adds to errors about the credentials how to replace them.
func explainCredentials(cfg aws.Config, line command.Line) func(*middleware.Stack) error {
	explainer := middleware.InitializeMiddlewareFunc("ExplainCredentials", func(
		ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
	) (middleware.InitializeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleInitialize(ctx, in)
		switch awserrors.KindOf(err) {
		case awserrors.NoCredentials, awserrors.Expired, awserrors.Invalid:
			err = explain(err, cfg, line)
		default:
		}
		return out, metadata, err
	})
	return func(stack *middleware.Stack) error { return stack.Initialize.Add(explainer, middleware.Before) }
}

// explain adds the next step to an error. For the credentials it depends on their source.
func explain(err error, cfg aws.Config, line command.Line) error {
	e, ok := errors.AsType[*awserrors.Error](awserrors.Explain(err))
	if !ok {
		return err
	}
	switch endpoint := aws.ToString(cfg.BaseEndpoint); {
	case e.Kind == awserrors.NoCredentials, e.Kind == awserrors.Expired, e.Kind == awserrors.Invalid:
		e.Next = sourceOf(cfg).signIn(e.Kind, line)
	case e.Kind == awserrors.Unreachable && endpoint != "":
		e.Next = "start the service at AWS_ENDPOINT_URL=" + endpoint + ", or unset AWS_ENDPOINT_URL to use AWS"
	}
	return e
}

// source is the source of the credentials.
type source struct {
	environment bool   // environment variables
	profile     string // the profile; "" for environment variables
	command     string // the AWS CLI command that signs in
}

// sourceOf returns the source of the credentials (see "Standardized credential providers").
func sourceOf(cfg aws.Config) source {
	var found source
	for _, s := range cfg.ConfigSources {
		switch c := s.(type) {
		case config.EnvConfig:
			if c.Credentials.HasKeys() {
				return source{environment: true}
			}
		case config.SharedConfig:
			found.profile = c.Profile
			origin := &c
			for origin.Source != nil { // source_profile
				origin = origin.Source
			}
			switch {
			case origin.SSOSessionName != "" || origin.SSOStartURL != "":
				found.command = "sso login"
			case origin.LoginSession != "":
				found.command = "login"
			default:
				found.command = "configure"
			}
			if name := origin.Profile; name != "" && name != defaultProfile {
				found.command += " --profile " + command.Quote(name)
			}
		}
	}
	return found
}

const defaultProfile = "default"

// signIn returns the next step for credentials that AWS rejected.
func (s source) signIn(kind awserrors.Kind, line command.Line) string {
	switch {
	case s.environment && kind == awserrors.Expired:
		return "set new AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or unset them to use a profile"
	case s.environment:
		return "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or unset them to use a profile; " +
			"also check that AWS_REGION is enabled in the account"
	case kind == awserrors.NoCredentials:
		return fmt.Sprintf(
			"run %s for the profile %s, choose another with AWS_PROFILE, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
			line.CLI(s.command),
			cmp.Or(s.profile, defaultProfile),
		)
	default:
		return fmt.Sprintf("run %s for new credentials, or choose another profile with AWS_PROFILE", line.CLI(s.command))
	}
}
