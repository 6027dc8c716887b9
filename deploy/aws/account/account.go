// Package account opens the AWS account that a stage is deployed to: whose it is, where, and how it is called.
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

// Account is an AWS account, as one who has credentials of it sees it.
type Account struct {
	ID        string // 12 digits
	ARN       string // of who calls
	Region    string
	Partition string     // such as aws
	Profile   string     // of the shared configuration that has the credentials; empty where the environment has them
	Endpoint  string     // that is called instead of AWS's own (AWS_ENDPOINT_URL); empty: AWS's
	Config    aws.Config // for the clients of the services; it retries patiently
}

// Options complete what the environment and the shared configuration files say.
type Options struct {
	// Region is used where nothing else names one.
	Region string
	// Endpoint is called instead of AWS's own; empty: AWS_ENDPOINT_URL, if that is set.
	Endpoint string
	// Ask asks a person for the code that a role demands (MFA); nil where there is nobody to ask.
	Ask func(question string) (string, error)
	// Waiting is called before a pause between two attempts of a call that a person notices, with why and how long; nil:
	// nobody is told. It must be safe for concurrent use.
	Waiting func(text string)
	// Line writes the commands in messages.
	Line command.Line
	// Resolver looks up the addresses of AWS; nil: the system's.
	Resolver *net.Resolver
}

// How AWS is called. A deployment makes few calls, each of which it cannot do without: it waits rather than gives up.
// The pauses of a call add up to at most 44 s (2, 4, 8, 10, 10 and 10 s, the first three of them shortened at random).
const (
	attempts   = 7
	maxBackoff = 10 * time.Second
	noticeable = time.Second
	// To see who is calling is the first thing that is done; a person waits for it.
	firstAttempts   = 3
	dialTimeout     = 5 * time.Second
	responseTimeout = time.Minute // from the end of the request to the first byte of the answer
)

// Open finds the credentials as the AWS CLI does, in the environment first (AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_REGION,
// AWS_ENDPOINT_URL and the others of "AWS SDKs and Tools Reference Guide"), and asks AWS whose they are. Its errors tell the
// cause and what to do; those of the SDK are an [*awserrors.Error].
func Open(ctx context.Context, options Options) (*Account, error) {
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithBaseEndpoint(options.Endpoint),
		config.WithDefaultRegion(options.Region),
		config.WithRetryer(options.retryer),
		config.WithHTTPClient(httpClient(options.Resolver)),
		config.WithAssumeRoleCredentialOptions(func(o *stscreds.AssumeRoleOptions) {
			if options.Ask != nil {
				o.TokenProvider = func() (string, error) { return options.Ask("MFA code of " + aws.ToString(o.SerialNumber) + ": ") }
			}
		}),
		config.WithLogger(logging.Nop{}), // what matters comes as an error
	)
	if err != nil {
		return nil, fmt.Errorf("read the settings of AWS: %w", unreadable(err, options.Line))
	}
	if cfg.Region == "" {
		return nil, fmt.Errorf("read the settings of AWS: %w", &awserrors.Error{
			Kind:  awserrors.Region,
			Cause: "no Region is set",
			Next: "set one, such as AWS_REGION=eu-central-1, or have the profile name one: " +
				options.Line.CLI("configure set region eu-central-1"),
			Err: &aws.MissingRegionError{},
		})
	}
	cfg.APIOptions = append(cfg.APIOptions, explainCredentials(cfg, options.Line))
	identity, err := sts.NewFromConfig(cfg, func(o *sts.Options) { o.RetryMaxAttempts = firstAttempts }).
		GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if ctx.Err() != nil {
		return nil, fmt.Errorf("ask AWS whose the credentials are: %w", context.Cause(ctx))
	}
	if err != nil {
		if unknown := unknownRegion(ctx, options.Resolver, cfg, err); unknown != nil {
			err = unknown
		}
		return nil, fmt.Errorf("ask AWS whose the credentials are: %w", explain(err, cfg, options.Line))
	}
	caller, err := arn.Parse(aws.ToString(identity.Arn))
	if err != nil {
		return nil, fmt.Errorf("ask AWS whose the credentials are: %w", err)
	}
	return &Account{
		ID:        aws.ToString(identity.Account),
		ARN:       aws.ToString(identity.Arn),
		Region:    cfg.Region,
		Partition: caller.Partition,
		Profile:   sourceOf(cfg).profile,
		Endpoint:  aws.ToString(cfg.BaseEndpoint),
		Config:    cfg,
	}, nil
}

// retryer has no quota of retries: the SDK's would be used up by the looks at a long deployment while the network is away.
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

// cause returns what an error of the SDK means, without what to do about it.
func cause(err error) string {
	if e, ok := errors.AsType[*awserrors.Error](awserrors.Explain(err)); ok {
		return e.Cause
	}
	return err.Error()
}

// httpClient returns a client that gives up on an address without a response sooner than the SDK's own. AWS_CA_BUNDLE
// and HTTPS_PROXY stay in force.
func httpClient(resolver *net.Resolver) *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout, d.Resolver = dialTimeout, resolver }).
		WithTransportOptions(func(t *http.Transport) { t.ResponseHeaderTimeout = responseTimeout })
}

// everywhere is a host name of AWS that does not depend on the Region.
const everywhere = "sts.amazonaws.com"

// unknownRegion returns an error if err means that the configured Region does not exist, nil otherwise. The SDK has no
// list of Regions: it makes a host name of any. Without a network that name cannot be resolved either, so it is
// compared with one that exists.
func unknownRegion(ctx context.Context, resolver *net.Resolver, cfg aws.Config, err error) error {
	dns, ok := errors.AsType[*net.DNSError](err)
	if !ok || !dns.IsNotFound || cfg.BaseEndpoint != nil || !strings.Contains(dns.Name, cfg.Region) {
		return nil
	}
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	if addresses, _ := resolver.LookupHost(ctx, everywhere); len(addresses) == 0 {
		return nil
	}
	return &awserrors.Error{
		Kind: awserrors.Region,
		Cause: fmt.Sprintf(
			"there is no Region %q: the host %s does not exist",
			cfg.Region,
			strings.TrimSuffix(dns.Name, "."),
		),
		Next: "set AWS_REGION, or the region of the profile, to one such as eu-central-1",
		Err:  err,
	}
}

// unreadable explains why the configuration of the SDK could not be loaded. Each cause is one of the credentials'
// settings.
func unreadable(err error, line command.Line) error {
	e, ok := errors.AsType[*awserrors.Error](awserrors.Explain(err))
	if !ok {
		e = &awserrors.Error{Kind: awserrors.NoCredentials, Cause: err.Error(), Err: err}
	}
	if _, ok := errors.AsType[config.AssumeRoleTokenProviderNotSetError](err); ok {
		e.Next = "the role of the profile demands an MFA code, and there is no terminal to ask for it: " +
			"get credentials in one first, with\n" +
			`eval "$(` + line.CLI(
			"configure export-credentials --format env",
		) + `)"`
	}
	if profile, ok := errors.AsType[config.SharedConfigProfileNotExistError](err); ok {
		e.Next = fmt.Sprintf("set AWS_PROFILE to one of those that %s lists, or make it with %s",
			line.CLI("configure list-profiles"), line.CLI("configure --profile "+command.Quote(profile.Profile)))
	}
	return e
}

// explainCredentials adds to errors about the credentials how to replace them, in every client made of the
// configuration.
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

// explain adds to an error how to replace the credentials, which depends on where they are from.
func explain(err error, cfg aws.Config, line command.Line) error {
	e, ok := errors.AsType[*awserrors.Error](awserrors.Explain(err))
	if !ok {
		return err
	}
	switch endpoint := aws.ToString(cfg.BaseEndpoint); {
	case e.Kind == awserrors.NoCredentials, e.Kind == awserrors.Expired, e.Kind == awserrors.Invalid:
		e.Next = sourceOf(cfg).signIn(e.Kind, line)
	case e.Kind == awserrors.Unreachable && endpoint != "":
		e.Next = "is there a service at AWS_ENDPOINT_URL=" + endpoint + "? Start it, or leave AWS_ENDPOINT_URL out for AWS itself"
	}
	return e
}

// source is where credentials are from.
type source struct {
	environment bool   // they are variables
	profile     string // that is in use; empty where environment
	command     string // of the AWS CLI, that signs in
}

// sourceOf looks where the SDK has looked ("Standardized credential providers").
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
			for origin.Source != nil { // the profile whose credentials assume the role of this one
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

// signIn returns what to do about credentials that AWS does not accept.
func (s source) signIn(kind awserrors.Kind, line command.Line) string {
	switch {
	case s.environment && kind == awserrors.Expired:
		return "set new ones (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN), or unset these for those of a profile"
	case s.environment:
		return "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or unset them for those of a profile; " +
			"and whether AWS_REGION is enabled in the account"
	case kind == awserrors.NoCredentials:
		return fmt.Sprintf(
			"run %s for the profile %s, choose another with AWS_PROFILE, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
			line.CLI(s.command),
			cmp.Or(s.profile, defaultProfile),
		)
	default:
		return fmt.Sprintf("run %s for new ones, or choose another profile with AWS_PROFILE", line.CLI(s.command))
	}
}
