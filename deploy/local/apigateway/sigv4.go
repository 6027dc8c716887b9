package apigateway

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	signer "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go/logging"

	"github.com/userrequestapi/userdata/deploy/aws/sigv4"
)

// Elements of Signature Version 4 ("AWS Signature Version 4 for API requests", IAM user guide).
const (
	signingAlgorithm = "AWS4-HMAC-SHA256"
	signingTime      = "20060102T150405Z"
	scopeTerminator  = "aws4_request"
	amzDate          = "X-Amz-Date"
	clockSkew        = 5 * time.Minute // maximum difference between the signature's time and now
)

// signature contains the signature fields of a request, from the Authorization header or the query string of a
// presigned URL.
type signature struct {
	algorithm     string
	credential    string // access key id/date/region/service/aws4_request
	signedHeaders string // names in lower case, separated by semicolons
	value         string // 64 hex digits
	date          string
	presigned     bool
	lifetime      time.Duration // validity period after date
}

// requireSignature implements the authorization type AWS_IAM. The order of the checks and the error messages are those
// of AWS services.
func requireSignature(x *exchange) error {
	query, queryErr := url.ParseQuery(x.request.URL.RawQuery)
	s, err := x.parseSignature(query)
	if err != nil {
		return err
	}
	at, err := s.checkDate(x.record.Time)
	if err != nil {
		return err
	}
	keyID, err := s.checkScope(at, x.gateway.cfg.Region)
	if err != nil {
		return err
	}
	credential, ok := x.gateway.cfg.Credentials[keyID]
	if !ok {
		return unrecognizedClientError("The security token included in the request is invalid.")
	}
	signed, err := x.sign(s, query, at, aws.Credentials{AccessKeyID: keyID, SecretAccessKey: credential.SecretAccessKey})
	if err != nil {
		return err
	}
	// A malformed part of the query string is not signed, but would reach the function. The signer adds required
	// headers, so that the lists of signed headers may differ.
	if queryErr != nil || s.signedHeaders != signed.signedHeaders ||
		subtle.ConstantTimeCompare([]byte(s.value), []byte(signed.value)) != 1 {
		return signatureErrorf("The request signature we calculated does not match the signature you provided. "+
			"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.\n\n"+
			"The Canonical String for this request should have been\n'%s'\n\nThe String-to-Sign should have been\n'%s'\n",
			signed.canonicalRequest, signed.stringToSign)
	}
	if x.request.Header.Get("X-Amz-Security-Token") != "" || query.Get("X-Amz-Security-Token") != "" {
		// The access key of an IAM user has no security token.
		return unrecognizedClientError("The security token included in the request is invalid")
	}
	x.identity.AccessKey, x.identity.AccountID = &keyID, &credential.AccountID
	x.identity.Caller, x.identity.User, x.identity.UserARN = &credential.UserID, &credential.UserID, &credential.UserARN
	return nil
}

func (x *exchange) parseSignature(query url.Values) (signature, error) {
	for _, name := range []string{"Authorization", amzDate, "X-Amz-Security-Token"} {
		if len(x.request.Header.Values(name)) > 1 { // only the first is verified, but all reach the function
			return signature{}, incompleteSignatureErrorf("The header '%s' must appear only once.", name)
		}
	}
	header := x.request.Header.Get("Authorization")
	switch inQuery := query.Has("X-Amz-Algorithm"); {
	case header == "" && !inQuery:
		return signature{}, newGatewayError(missingAuthenticationToken, "Missing Authentication Token")
	case header != "" && inQuery:
		return signature{}, signatureErrorf(
			"Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.")
	case inQuery && query.Has(amzDate) && x.request.Header.Get(amzDate) != "":
		return signature{}, signatureErrorf("Found 'X-Amz-Date' both as a query-string param and as HTTP header.")
	case inQuery:
		return parsePresigned(query)
	}
	return parseAuthorization(header, x.request.Header.Get(amzDate))
}

func parseAuthorization(header, date string) (signature, error) {
	algorithm, rest, _ := strings.Cut(header, " ")
	digest := sha256.Sum256([]byte(header))
	hashed := base64.StdEncoding.EncodeToString(digest[:]) // the header may contain a secret, such as a token
	fields := map[string]string{}
	for pair := range strings.FieldsFuncSeq(rest, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return signature{}, incompleteSignatureErrorf(
				"Invalid key=value pair (missing equal-sign) in Authorization header "+
					"(hashed with SHA-256 and encoded with Base64): '%s'.", hashed)
		}
		if _, repeated := fields[name]; repeated {
			return signature{}, incompleteSignatureErrorf("Authorization header requires '%s' parameter only once. "+
				"(Hashed with SHA-256 and encoded with Base64) Authorization=%s", name, hashed)
		}
		fields[name] = value
	}
	var missing strings.Builder
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		if fields[name] == "" {
			fmt.Fprintf(&missing, "Authorization header requires '%s' parameter. ", name)
		}
	}
	if date == "" {
		missing.WriteString("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ")
	}
	if missing.Len() > 0 {
		return signature{}, incompleteSignatureErrorf(
			"%s(Hashed with SHA-256 and encoded with Base64) Authorization=%s", &missing, hashed)
	}
	return signature{
		algorithm: algorithm, credential: fields["Credential"], signedHeaders: fields["SignedHeaders"],
		value: fields["Signature"], date: date, lifetime: clockSkew,
	}, nil
}

func parsePresigned(query url.Values) (signature, error) {
	required := []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", amzDate}
	var missing strings.Builder
	for _, name := range required {
		if query.Get(name) == "" {
			fmt.Fprintf(&missing, "AWS query-string parameters must include '%s'. ", name)
		}
	}
	if missing.Len() > 0 {
		return signature{}, incompleteSignatureErrorf("%sRe-examine the query-string parameters.", &missing)
	}
	for _, name := range append(required, "X-Amz-Expires", "X-Amz-Security-Token") {
		if len(query[name]) > 1 { // only the first is verified, but all reach the function
			return signature{}, incompleteSignatureErrorf("AWS query-string parameters must include '%s' only once.", name)
		}
	}
	s := signature{
		algorithm: query.Get("X-Amz-Algorithm"), credential: query.Get("X-Amz-Credential"),
		signedHeaders: query.Get("X-Amz-SignedHeaders"), value: query.Get("X-Amz-Signature"),
		date: query.Get(amzDate), presigned: true, lifetime: clockSkew,
	}
	if expires := query.Get("X-Amz-Expires"); expires != "" {
		const week = 7 * 24 * 60 * 60
		seconds, err := strconv.Atoi(expires)
		if err != nil || seconds < 1 || seconds > week {
			return signature{}, incompleteSignatureErrorf("X-Amz-Expires must be a number of seconds from 1 to %d", week)
		}
		s.lifetime = time.Duration(seconds) * time.Second
	}
	return s, nil
}

// checkDate parses the date and checks that the signature is valid at now.
func (s signature) checkDate(now time.Time) (time.Time, error) {
	at, err := time.Parse(signingTime, s.date)
	if err != nil {
		return at, incompleteSignatureErrorf(
			"Date must be in ISO-8601 'basic format'. Got '%s'. See http://en.wikipedia.org/wiki/ISO_8601", s.date)
	}
	format := func(t time.Time) string { return t.UTC().Format(signingTime) }
	if earliest := now.Add(-s.lifetime); at.Before(earliest) {
		return at, signatureErrorf("Signature expired: %s is now earlier than %s (%s - %g min.)",
			s.date, format(earliest), format(now), s.lifetime.Minutes())
	}
	if latest := now.Add(clockSkew); at.After(latest) {
		return at, signatureErrorf("Signature not yet current: %s is still later than %s (%s + %g min.)",
			s.date, format(latest), format(now), clockSkew.Minutes())
	}
	return at, nil
}

// checkScope checks the signed headers, the algorithm and the credential scope. It returns the access key id.
func (s signature) checkScope(at time.Time, region string) (keyID string, err error) {
	hasHost := false
	for name := range strings.SplitSeq(s.signedHeaders, ";") {
		hasHost = hasHost || strings.EqualFold(name, "host")
	}
	if !hasHost {
		return "", signatureErrorf("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	if s.algorithm != signingAlgorithm {
		return "", incompleteSignatureErrorf(
			"Unsupported AWS 'algorithm': '%s' (only %s for now). ", s.algorithm, signingAlgorithm)
	}
	parts := strings.Split(strings.TrimRight(s.credential, "/"), "/")
	if len(parts) != 5 {
		return "", incompleteSignatureErrorf(
			"Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '%s'",
			s.credential)
	}
	var wrong strings.Builder
	if parts[2] != region {
		fmt.Fprintf(&wrong, "Credential should be scoped to a valid region, not '%s'. ", parts[2])
	}
	if parts[3] != sigv4.Service {
		fmt.Fprintf(&wrong, "Credential should be scoped to correct service: '%s'. ", sigv4.Service)
	}
	if parts[4] != scopeTerminator {
		fmt.Fprintf(&wrong, "Credential should be scoped with a valid terminator: '%s', not '%s'. ",
			scopeTerminator, parts[4])
	}
	if day := at.Format("20060102"); parts[1] != day {
		fmt.Fprintf(&wrong, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "+
			"'%s' != '%s', from '%s'.", parts[1], day, s.date)
	}
	if wrong.Len() > 0 {
		return "", signatureErrorf("%s", &wrong)
	}
	return parts[0], nil
}

// expectedSignature is the expected signature of a request.
type expectedSignature struct {
	signature

	canonicalRequest, stringToSign string
}

// sign calculates the expected signature of the request over the headers listed in s.
func (x *exchange) sign(
	s signature, query url.Values, at time.Time, credentials aws.Credentials,
) (signed expectedSignature, err error) {
	if s.presigned {
		query.Del("X-Amz-Signature") // in other requests, it is a signed parameter like any other
	}
	request := &http.Request{
		Method: x.request.Method,
		Host:   x.request.Host,
		Header: http.Header{},
		// Opaque preserves the path as received. The signer escapes it again, as for all services except S3.
		URL: &url.URL{Scheme: "http", Opaque: "//" + x.request.Host + x.sentPath, RawQuery: query.Encode()},
	}
	for name := range strings.SplitSeq(s.signedHeaders, ";") {
		name = http.CanonicalHeaderKey(name)
		if name == "Content-Length" {
			request.ContentLength = int64(len(x.body))
		} else if values, ok := x.request.Header[name]; ok {
			request.Header[name] = append([]string(nil), values...) // the signer modifies some
		}
	}
	digest := sha256.Sum256(x.body)
	payloadHash := hex.EncodeToString(digest[:])
	v4 := signer.NewSigner(func(o *signer.SignerOptions) {
		o.DisableHeaderHoisting = true // the query string is already as the client's signer left it
		o.LogSigning = true
		o.Logger = logging.LoggerFunc(func(_ logging.Classification, _ string, v ...any) {
			signed.canonicalRequest, signed.stringToSign = fmt.Sprint(v[0]), fmt.Sprint(v[1])
		})
	})
	ctx, region := context.WithoutCancel(x.request.Context()), x.gateway.cfg.Region
	if s.presigned {
		var address string
		address, _, err = v4.PresignHTTP(ctx, credentials, request, payloadHash, sigv4.Service, region, at)
		_, raw, _ := strings.Cut(address, "?")
		presigned, parseErr := url.ParseQuery(raw)
		if err = errors.Join(err, parseErr); err == nil {
			signed.signature, err = parsePresigned(presigned)
		}
	} else if err = v4.SignHTTP(ctx, credentials, request, payloadHash, sigv4.Service, region, at); err == nil {
		signed.signature, err = parseAuthorization(request.Header.Get("Authorization"), s.date)
	}
	if err != nil {
		return signed, fmt.Errorf("calculate the signature: %w", err)
	}
	return signed, nil
}

func signatureErrorf(format string, arguments ...any) error {
	return newGatewayError(invalidSignature, fmt.Sprintf(format, arguments...))
}

// incompleteSignatureErrorf returns the error for a request with missing or malformed signature fields.
func incompleteSignatureErrorf(format string, arguments ...any) error {
	failure := newGatewayError(invalidSignature, fmt.Sprintf(format, arguments...))
	failure.errorType = "IncompleteSignatureException"
	return failure
}

// unrecognizedClientError returns the error for unknown credentials.
func unrecognizedClientError(message string) error {
	failure := newGatewayError(invalidSignature, message)
	failure.errorType = "UnrecognizedClientException"
	return failure
}
