// Package errors says what an error of the AWS SDK means for the person who deploys: its cause in one sentence, and what
// to do next. It knows what every service shares (credentials, permissions, throttling, network, Region) and leaves what
// only one service says in that service's own words.
package errors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/smithy-go"
)

// Kind is what an error comes from.
type Kind int

// The kinds of errors. Other is what a service says about the request itself.
const (
	Other         Kind = iota
	NoCredentials      // there are none, or they could not be fetched
	Expired            // credentials that were good once
	Invalid            // credentials that AWS does not know, or a wrong secret
	Clock              // this machine's clock differs from AWS's by minutes
	Denied             // the credentials lack a permission
	Throttled          // too many calls, after all retries
	Quota              // a limit of the account
	Unreachable        // no answer: network, DNS, TLS, proxy
	Unavailable        // an answer that says that the service has a fault
	Region             // none, one that does not exist, or one that the account has not enabled
)

// Error is an error of the AWS SDK, explained.
type Error struct {
	Kind   Kind
	Cause  string // one clause, such as "the credentials have expired (ExpiredToken)"
	Next   string // what to do about it; "" where only the cause tells
	Action string // of Denied, in IAM's notation, such as "s3:PutObject"; "" when unknown
	Err    error  // as the SDK returned it
}

// Error returns the cause and the next step.
func (e *Error) Error() string {
	if e.Next == "" {
		return e.Cause
	}
	return e.Cause + ": " + e.Next
}

// Unwrap returns the SDK's error.
func (e *Error) Unwrap() error { return e.Err }

// Explain returns err as an [*Error] that wraps it. An error that did not come from the SDK, the end of a context and an error
// that is explained already are returned as they are.
func Explain(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	e := explain(err)
	if e == nil {
		return err
	}
	e.Err = err
	return e
}

// KindOf returns the kind of an error, explained or not.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](Explain(err)); ok {
		return e.Kind
	}
	return Other
}

// Temporary reports whether the same call may well succeed later without anybody doing anything.
func Temporary(err error) bool {
	switch KindOf(err) {
	case Throttled, Unreachable, Unavailable:
		return true
	default:
		return false
	}
}

// Code returns the code of the service's error, such as "ValidationError", and "" for any other error.
func Code(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

const (
	permissions = "docs/deploy.md has the policy that the deployer needs"
	signIn      = "sign in again, or set a new AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, and repeat"
	provide     = "set AWS_PROFILE to a profile of ~/.aws/config, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and repeat"
	network     = "check the network, HTTPS_PROXY and AWS_ENDPOINT_URL, and repeat"
)

// kindOfCode knows the error codes that mean the same in all services: the common errors of the API references, S3's own,
// and the two spellings that the Query and the JSON protocols have.
func kindOfCode(code string, status int) Kind {
	switch code {
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired":
		return Expired
	case "InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "InvalidToken", "AuthFailure",
		"SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature", "MissingAuthenticationToken",
		"MissingAuthenticationTokenException", "NotSignedUp":
		return Invalid
	case "RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture":
		return Clock
	case "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized", "AuthorizationError",
		"AllAccessDisabled", "Forbidden", "ForbiddenException", "UnauthorizedException":
		return Denied
	case "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottledException", "RequestThrottled",
		"RequestLimitExceeded", "TooManyRequestsException", "BandwidthLimitExceeded", "SlowDown", "PriorRequestNotComplete":
		return Throttled
	case "LimitExceeded", "LimitExceededException", "ServiceQuotaExceededException", "TooManyBuckets",
		"CodeStorageExceededException":
		return Quota
	case "OptInRequired", "RegionDisabledException", "PermanentRedirect", "MovedPermanently", "AuthorizationHeaderMalformed",
		"IllegalLocationConstraintException":
		return Region
	}
	switch {
	case status == http.StatusTooManyRequests:
		return Throttled
	case status >= http.StatusInternalServerError:
		return Unavailable
	default:
		return Other
	}
}

// explain returns nil for an error that is not the SDK's.
func explain(err error) *Error {
	if e := explainCredentials(err); e != nil {
		return e
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return explainAPI(err, api)
	}
	text := err.Error()
	switch {
	case strings.Contains(text, "Missing Region"), is[*aws.MissingRegionError](err):
		return &Error{Kind: Region, Cause: "no AWS Region is set", Next: "set AWS_REGION, such as AWS_REGION=eu-west-1, and repeat"}
	case strings.Contains(text, "invalid input region"):
		return &Error{Kind: Region, Cause: "AWS_REGION is not the name of a Region", Next: "set one such as eu-west-1, and repeat"}
	}
	return explainNetwork(err)
}

// explainCredentials explains why there are no credentials to sign with.
func explainCredentials(err error) *Error {
	if profile, ok := errors.AsType[config.SharedConfigProfileNotExistError](err); ok {
		return &Error{
			Kind:  NoCredentials,
			Cause: fmt.Sprintf("there is no profile %q in ~/.aws/config or ~/.aws/credentials", profile.Profile),
			Next:  "set AWS_PROFILE to one that exists, and repeat",
		}
	}
	// Where sso_session is used, there is no type for it, and the token may just have failed to be renewed over the network.
	if is[*ssocreds.InvalidTokenError](err) || strings.Contains(err.Error(), "SSO token") && explainNetwork(err) == nil {
		return &Error{
			Kind: Expired, Cause: "the IAM Identity Center session has expired", Next: "sign in to it again, and repeat",
		}
	}
	// The SDK has no type for this one: every provider's failure is wrapped in these words.
	if !strings.Contains(err.Error(), "get credentials:") && !is[*credentials.StaticCredentialsEmptyError](err) {
		return nil
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok { // of STS or IAM Identity Center, which were asked for them
		e := explainAPI(err, api)
		e.Cause = "no credentials could be fetched: " + e.Cause
		return e
	}
	if is[*processcreds.ProviderError](err) {
		return &Error{Kind: NoCredentials, Cause: "the credential process of the profile failed: " + innermost(err), Next: provide}
	}
	// The instance metadata is what the SDK asks last, so a failure there says only that nothing was set.
	if strings.Contains(err.Error(), "no EC2 IMDS role found") || is[*credentials.StaticCredentialsEmptyError](err) {
		return &Error{Kind: NoCredentials, Cause: "there are no AWS credentials", Next: provide}
	}
	if e := explainNetwork(err); e != nil {
		e.Cause = "no credentials could be fetched: " + e.Cause
		return e
	}
	return &Error{Kind: NoCredentials, Cause: "there are no usable AWS credentials: " + innermost(err), Next: provide}
}

// notAuthorized is IAM's sentence. Services add a reason to it, as "because no identity-based policy allows the … action".
var notAuthorized = regexp.MustCompile(`(?:User: )?(\S+) is not authorized to perform: ([\w-]+:\w+)`)

// Action returns the IAM action that a message of AWS says is not allowed, and who asked for it. ok is false for any other
// message.
func Action(message string) (action, principal string, ok bool) {
	found := notAuthorized.FindStringSubmatch(message)
	if found == nil {
		return "", "", false
	}
	return found[2], found[1], true
}

// explainAPI explains what a service answered.
func explainAPI(err error, api smithy.APIError) *Error {
	var status int
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		status = response.HTTPStatusCode()
	}
	operation := operationOf(err)
	code, message := api.ErrorCode(), strings.TrimSpace(api.ErrorMessage())
	e := &Error{Kind: kindOfCode(code, status)}
	switch e.Kind {
	case Expired:
		e.Cause, e.Next = fmt.Sprintf("the credentials have expired (%s)", code), signIn
	case Invalid:
		e.explainInvalid(code, message)
	case Clock:
		e.explainClock(code)
	case Denied:
		e.explainDenied(operation, message)
	case Throttled:
		e.Cause = fmt.Sprintf("AWS refuses more calls for now (%s: %s)", code, message)
		e.Next = "wait a minute and repeat; other programs may be calling the same account"
	case Quota:
		e.Cause = fmt.Sprintf("a quota of the account is reached (%s: %s)", code, message)
		e.Next = "free some of it or have it raised under Service Quotas, and repeat"
	case Region:
		e.Cause = fmt.Sprintf("the Region is not the right one, or not enabled in this account (%s: %s)", code, message)
		e.Next = "check AWS_REGION, and repeat"
	case Unavailable:
		e.Cause = fmt.Sprintf("AWS has a fault (%s)", join(code, message))
		e.Next = "repeat in a few minutes; https://health.aws.amazon.com tells of outages"
	default:
		e.Kind = Other
		e.Cause = fmt.Sprintf("%s (%s)", strings.TrimSuffix(message, "."), strings.Join(compact(operation.name(), code), ", "))
	}
	return e
}

func (e *Error) explainInvalid(code, message string) {
	if strings.Contains(message, "Signature expired") || strings.Contains(message, "Signature not yet current") {
		e.explainClock(code)
		return
	}
	switch code {
	case "SignatureDoesNotMatch", "InvalidSignatureException":
		e.Cause = fmt.Sprintf("AWS does not accept the signature (%s)", code)
		e.Next = "the secret access key is wrong, or this machine's clock is: check both, and repeat"
	default:
		e.Cause = fmt.Sprintf("AWS does not know the credentials (%s)", code)
		e.Next = "they were deleted, belong to another partition or endpoint, or the Region is not enabled in the account: " +
			"check AWS_PROFILE, AWS_ACCESS_KEY_ID, AWS_REGION and AWS_ENDPOINT_URL, and repeat"
	}
}

func (e *Error) explainClock(code string) {
	e.Kind = Clock
	e.Cause = fmt.Sprintf("this machine's clock is wrong by minutes (%s)", code)
	e.Next = "set the clock (timedatectl set-ntp true), and repeat"
}

func (e *Error) explainDenied(operation operation, message string) {
	action, principal, ok := Action(message)
	if !ok { // S3 does not always say it
		action, principal = operation.action(), "the credentials in use"
	}
	e.Action = action
	if action == "" {
		e.Cause = "access is denied: " + message
	} else {
		e.Cause = fmt.Sprintf("%s may not call %s", principal, action)
	}
	e.Next = permissions
	// What denies explicitly, no policy of the deployer's can allow.
	if _, reason, found := strings.Cut(message, "with an explicit deny"); found {
		e.Cause += ", with an explicit deny" + strings.TrimSuffix(reason, ".")
		e.Next = "ask whoever administers the account"
	}
}

// explainNetwork returns nil for an error that is not one of the network.
func explainNetwork(err error) *Error {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return &Error{
			Kind:  Unreachable,
			Cause: fmt.Sprintf("the name %s cannot be resolved", dns.Name),
			Next:  "is AWS_REGION a Region, and is there a network? Check them, HTTPS_PROXY and AWS_ENDPOINT_URL, and repeat",
		}
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return &Error{Kind: Unreachable, Cause: "AWS did not answer in time", Next: network}
	}
	if sent, ok := errors.AsType[*url.Error](err); ok {
		return &Error{Kind: Unreachable, Cause: fmt.Sprintf("AWS cannot be reached (%v)", sent.Err), Next: network}
	}
	if is[*net.OpError](err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{Kind: Unreachable, Cause: "the connection to AWS broke (" + innermost(err) + ")", Next: network}
	}
	if is[*smithy.DeserializationError](err) { // a captive portal or a proxy, say
		return &Error{Kind: Unreachable, Cause: "what answered is not AWS (" + innermost(err) + ")", Next: network}
	}
	return nil
}

// operation is the call that failed.
type operation struct{ service, call string }

// operationOf returns the innermost operation: the one that failed, where fetching credentials is part of another.
func operationOf(err error) operation {
	var found operation
	for {
		outer, ok := errors.AsType[*smithy.OperationError](err)
		if !ok {
			return found
		}
		found = operation{service: outer.Service(), call: outer.Operation()}
		err = outer.Err
	}
}

func (o operation) name() string { return strings.TrimSpace(o.service + " " + o.call) }

// action returns the operation in IAM's notation, "" where that is not known. Of the services in use only these have
// operations that differ in name from their actions.
func (o operation) action() string {
	prefixes := map[string]string{
		"API Gateway": "apigateway", "CloudFormation": "cloudformation", "CloudWatch": "cloudwatch",
		"CloudWatch Logs": "logs", "DynamoDB": "dynamodb", "IAM": "iam", "Lambda": "lambda", "S3": "s3", "STS": "sts",
		"XRay": "xray",
	}
	renamed := map[string]string{
		"s3:HeadBucket": "s3:ListBucket", "s3:HeadObject": "s3:GetObject", "s3:ListObjectsV2": "s3:ListBucket",
		"s3:CreateMultipartUpload": "s3:PutObject", "s3:UploadPart": "s3:PutObject", "lambda:Invoke": "lambda:InvokeFunction",
		"s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock", "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
		"s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration", "s3:DeleteObjects": "s3:DeleteObject",
	}
	prefix, ok := prefixes[o.service]
	if !ok || prefix == "apigateway" { // whose actions are HTTP methods
		return ""
	}
	action := prefix + ":" + o.call
	if other, ok := renamed[action]; ok {
		return other
	}
	return action
}

// innermost returns the text of the error that the others wrap.
func innermost(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func compact(parts ...string) []string {
	var present []string
	for _, part := range parts {
		if part != "" {
			present = append(present, part)
		}
	}
	return present
}

func join(parts ...string) string { return strings.Join(compact(parts...), ": ") }
