// Package errors explains errors of the AWS SDK to the deployer: the cause in one sentence, and the next step. It
// handles errors common to all services (credentials, permissions, throttling, network, Region) and keeps the message
// of all others.
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
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/smithy-go"

	"github.com/userrequestapi/userdata/deploy/aws/sigv4"
	"github.com/userrequestapi/userdata/deploy/host/command"
)

// Kind is the category of an error.
type Kind int

// The kinds of errors. Other is an error about the request itself.
const (
	Other         Kind = iota
	NoCredentials      // missing credentials, or a failure to retrieve them
	Expired            // expired credentials
	Invalid            // unknown credentials, or a wrong secret access key
	Clock              // the local clock is wrong by minutes
	Denied             // a missing permission
	Throttled          // too many requests, after all retries
	Quota              // a quota of the account
	Unreachable        // no response: network, DNS, TLS or proxy
	Unavailable        // a server error of the service
	Region             // no Region, or one that does not exist or is not enabled
)

// Error is an explained error of the AWS SDK.
type Error struct {
	Kind   Kind
	Cause  string // one clause, such as "the credentials have expired (ExpiredToken)"
	Next   string // the next step; may be ""
	Action string // of Denied: the IAM action, such as "s3:PutObject"; "" if unknown
	Err    error  // the SDK's error
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

// Explain returns an [*Error] that wraps err. It returns err unchanged if it is not an error of the SDK, is an error of
// a context, or wraps an [*Error].
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

// Temporary reports whether a retry of the call may succeed later.
func Temporary(err error) bool {
	switch KindOf(err) {
	case Throttled, Unreachable, Unavailable:
		return true
	default:
		return false
	}
}

// Code returns the error code of the service, such as "ValidationError", or "" for any other error.
func Code(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

const (
	permissions = "docs/deploy.md has the policy that the deployer needs"
	signIn      = "sign in again, or set a new AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, and retry"
	provide     = "set AWS_PROFILE to a profile of ~/.aws/config, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, " +
		"and retry"
	network = "check the network, HTTPS_PROXY and AWS_ENDPOINT_URL, and retry"
)

// kindOfCode returns the kind of an error code that all services share ("Common Errors" in the API references) or that
// S3 returns. For any other code, it returns the kind of the status code.
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
	case "OptInRequired", "RegionDisabledException", "PermanentRedirect", "MovedPermanently",
		"AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
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

// explain returns nil for an error that is not from the SDK.
func explain(err error) *Error {
	if e := explainCredentials(err); e != nil {
		return e
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return explainAPI(err, api)
	}
	message := err.Error()
	switch {
	case strings.Contains(message, "Missing Region"), is[*aws.MissingRegionError](err):
		return &Error{
			Kind:  Region,
			Cause: "no AWS Region is set",
			Next:  "set AWS_REGION, such as AWS_REGION=eu-west-1, and retry",
		}
	case strings.Contains(message, "invalid input region"):
		return &Error{
			Kind:  Region,
			Cause: "AWS_REGION is not a valid Region name",
			Next:  "set a Region such as eu-west-1, and retry",
		}
	}
	return explainNetwork(err)
}

// explainCredentials explains why credentials could not be retrieved. It returns nil for other errors.
func explainCredentials(err error) *Error {
	if profile, ok := errors.AsType[config.SharedConfigProfileNotExistError](err); ok {
		return &Error{
			Kind:  NoCredentials,
			Cause: fmt.Sprintf("there is no profile %q in ~/.aws/config or ~/.aws/credentials", profile.Profile),
			Next:  "set AWS_PROFILE to an existing profile, and retry",
		}
	}
	// With sso_session, the SDK's error has no type, and a network failure may have prevented the refresh of the token.
	if is[*ssocreds.InvalidTokenError](err) || strings.Contains(err.Error(), "SSO token") && explainNetwork(err) == nil {
		return &Error{
			Kind: Expired, Cause: "the IAM Identity Center session has expired", Next: "sign in to it again, and retry",
		}
	}
	// The SDK wraps the errors of all credential providers in this message, without a type.
	if !strings.Contains(err.Error(), "get credentials:") && !is[*sigv4.CredentialsError](err) &&
		!is[*credentials.StaticCredentialsEmptyError](err) {
		return nil
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok { // an error of STS or IAM Identity Center
		e := explainAPI(err, api)
		e.Cause = "cannot retrieve credentials: " + e.Cause
		return e
	}
	if is[*processcreds.ProviderError](err) {
		return &Error{
			Kind:  NoCredentials,
			Cause: "the credential process of the profile failed: " + innermost(err),
			Next:  provide,
		}
	}
	// Instance metadata is the last provider: its error means that no other is configured.
	if strings.Contains(err.Error(), "no EC2 IMDS role found") || is[*credentials.StaticCredentialsEmptyError](err) {
		return &Error{Kind: NoCredentials, Cause: "there are no AWS credentials", Next: provide}
	}
	if e := explainNetwork(err); e != nil {
		e.Cause = "cannot retrieve credentials: " + e.Cause
		return e
	}
	return &Error{Kind: NoCredentials, Cause: "there are no usable AWS credentials: " + innermost(err), Next: provide}
}

// notAuthorized matches IAM's message, which a reason may follow: "because no identity-based policy allows the …
// action".
var notAuthorized = regexp.MustCompile(`(?:User: )?(\S+) is not authorized to perform: ([\w-]+:\w+)`)

// Action returns the denied IAM action and the principal in a message of AWS. ok is false for any other message.
func Action(message string) (action, principal string, ok bool) {
	found := notAuthorized.FindStringSubmatch(message)
	if found == nil {
		return "", "", false
	}
	return found[2], found[1], true
}

// explainAPI explains the error response of a service.
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
		e.Cause = fmt.Sprintf("AWS throttled the request (%s: %s)", code, message)
		e.Next = "retry in a minute; other programs may be calling AWS in the same account"
	case Quota:
		e.Cause = fmt.Sprintf("the account has reached a quota (%s: %s)", code, message)
		e.Next = "delete unused resources or request an increase in Service Quotas, and retry"
	case Region:
		e.Cause = fmt.Sprintf("the Region is wrong, or not enabled in this account (%s: %s)", code, message)
		e.Next = "check AWS_REGION, and retry"
	case Unavailable:
		e.Cause = fmt.Sprintf("AWS has a fault (%s)", join(": ", code, message))
		e.Next = "retry in a few minutes; https://health.aws.amazon.com lists outages"
	default:
		e.Kind = Other
		e.Cause = fmt.Sprintf("%s (%s)", strings.TrimSuffix(message, "."), join(", ", operation.name(), code))
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
		e.Cause = fmt.Sprintf("AWS rejected the signature (%s)", code)
		e.Next = "check the secret access key and this machine's clock, and retry"
	default:
		e.Cause = fmt.Sprintf("AWS rejected the credentials (%s)", code)
		e.Next = "they were deleted, belong to another partition or endpoint, or the Region is not enabled in the account: " +
			"check AWS_PROFILE, AWS_ACCESS_KEY_ID, AWS_REGION and AWS_ENDPOINT_URL, and retry"
	}
}

func (e *Error) explainClock(code string) {
	e.Kind = Clock
	e.Cause = fmt.Sprintf("this machine's clock is wrong by minutes (%s)", code)
	e.Next = "set the clock (timedatectl set-ntp true), and retry"
}

func (e *Error) explainDenied(operation operation, message string) {
	action, principal, ok := Action(message)
	if !ok { // S3 may omit both
		action, principal = operation.action(), "the credentials in use"
	}
	e.Action = action
	if action == "" {
		e.Cause = "access is denied: " + message
	} else {
		e.Cause = fmt.Sprintf("%s may not call %s", principal, action)
	}
	e.Next = permissions
	// No policy of the deployer overrides an explicit deny.
	if _, reason, found := strings.Cut(message, "with an explicit deny"); found {
		e.Cause += ", with an explicit deny" + strings.TrimSuffix(reason, ".")
		e.Next = "ask the administrator of the account"
	}
}

// explainNetwork explains network errors. It returns nil for other errors.
func explainNetwork(err error) *Error {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return &Error{
			Kind:  Unreachable,
			Cause: fmt.Sprintf("the host name %s cannot be resolved", dns.Name),
			Next:  "check AWS_REGION, the network, HTTPS_PROXY and AWS_ENDPOINT_URL, and retry",
		}
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return &Error{Kind: Unreachable, Cause: "AWS did not respond in time", Next: network}
	}
	if sent, ok := errors.AsType[*url.Error](err); ok {
		return &Error{Kind: Unreachable, Cause: fmt.Sprintf("AWS cannot be reached (%v)", sent.Err), Next: network}
	}
	if is[*net.OpError](err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{Kind: Unreachable, Cause: "the connection to AWS was closed (" + innermost(err) + ")", Next: network}
	}
	if is[*smithy.DeserializationError](err) { // for example from a captive portal
		return &Error{Kind: Unreachable, Cause: "the response is not from AWS (" + innermost(err) + ")", Next: network}
	}
	return nil
}

// operation is an operation of a service.
type operation struct{ service, call string }

// operationOf returns the innermost operation, the one that failed: an operation may include another for credentials.
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

// action returns the IAM action of the operation, or "" if it is unknown.
func (o operation) action() string {
	renamed := map[string]string{ // operations in use whose actions have another name
		"s3:HeadBucket": "s3:ListBucket", "s3:HeadObject": "s3:GetObject", "s3:ListObjectsV2": "s3:ListBucket",
		"s3:CreateMultipartUpload": "s3:PutObject", "s3:UploadPart": "s3:PutObject", "lambda:Invoke": "lambda:InvokeFunction",
		"s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock", "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
		"s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration", "s3:DeleteObjects": "s3:DeleteObject",
	}
	if !slices.Contains(command.Services(), o.service) || o.service == "API Gateway" { // its actions are HTTP methods
		return ""
	}
	action := strings.ToLower(strings.TrimPrefix(o.service, "CloudWatch ")) + ":" + o.call // logs:… for CloudWatch Logs
	if other, ok := renamed[action]; ok {
		return other
	}
	return action
}

// innermost returns the message of the innermost wrapped error.
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

// join joins the parts that are not empty.
func join(separator string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), separator)
}
