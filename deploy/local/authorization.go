package local

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/userrequestapi/userdata/deploy/aws/sigv4"
	"github.com/userrequestapi/userdata/deploy/host/command"
	"github.com/userrequestapi/userdata/deploy/local/apigateway"
	"github.com/userrequestapi/userdata/deploy/local/datadir"
	"github.com/userrequestapi/userdata/deploy/template"
	"github.com/userrequestapi/userdata/deploy/template/caller"
)

// Credentials of the local stack. The secret access key and the key of the user pool are in the data folder. The API
// key is the same on every machine, and protects nothing.
const (
	accessKeyID = "AKIAIOSFODNN7EXAMPLE" //nolint:gosec // no secret: the example of AWS's documentation
	userID      = "AIDACKCEVSQ6C2EXAMPLE"
	userARN     = "arn:aws:iam::" + accountID + ":user/local"

	apiKeyID = "local00001"
	apiKey   = "local-api-key-that-is-no-secret" //nolint:gosec // it says so

	userPoolARN   = "arn:aws:cognito-idp:" + region + ":" + accountID + ":userpool/" + region + "_Local0001"
	userPoolUser  = "00000000-0000-4000-8000-000000000001" // claim sub
	tokenLifetime = 12 * time.Hour
)

// Template parameters whose defaults differ between the local stack and AWS.
const (
	samplingRateParameter = "TracingSamplingRate"
	userPoolParameter     = "UserPoolArn"
)

// withDefaults adds the local stack's defaults to the given template parameters: no authorization, or the local user
// pool, and a trace of every request.
func withDefaults(given map[string]string) map[string]string {
	all := map[string]string{template.AuthorizationParameter: template.AuthorizationNone, samplingRateParameter: "1"}
	maps.Copy(all, given)
	if all[template.AuthorizationParameter] == template.AuthorizationCognito && all[userPoolParameter] == "" {
		all[userPoolParameter] = userPoolARN
	}
	return all
}

// authorization is the stage's type of authorization, with the credentials that it needs.
type authorization struct {
	kind string // value of the parameter Authorization
	key  accessKey
	pool userPool
}

func newAuthorization(parameters map[string]string, dataDir string) (authorization, error) {
	a := authorization{kind: parameters[template.AuthorizationParameter]}
	var err error
	switch a.kind {
	case template.AuthorizationIAM:
		a.key, err = openAccessKey(dataDir)
	case template.AuthorizationCognito:
		a.pool, err = openUserPool(parameters[userPoolParameter], filepath.Join(dataDir, "userpool.json"))
	}
	return a, err
}

// configure sets the credentials that the gateway accepts.
func (a authorization) configure(cfg *apigateway.Config) {
	cfg.APIKeys = []apigateway.APIKey{{ID: apiKeyID, Value: apiKey}}
	switch a.kind {
	case template.AuthorizationIAM:
		cfg.Credentials = map[string]apigateway.Credential{
			accessKeyID: {SecretAccessKey: a.key.secret, AccountID: accountID, UserID: userID, UserARN: userARN},
		}
	case template.AuthorizationCognito:
		keys := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{a.pool.key.Public()}}
		cfg.UserPools = map[string]apigateway.UserPool{a.pool.arn: {Issuer: a.pool.issuer, Keys: keys}}
	}
}

// Authorize authorizes req as the template parameter Authorization requires: it signs req, adds a token or the API key,
// or does nothing. Do not modify req afterwards. If req has a body, it must have GetBody.
func (s *Instance) Authorize(req *http.Request) error {
	c, err := s.authorization.caller()
	if err != nil {
		return err
	}
	return c.Authorize(req)
}

// Caller returns a caller of a local stack that runs, in this process or another one, with the value of the parameter
// Authorization and the credentials in its DataDir.
func Caller(authorization, dataDir string) (caller.Caller, error) {
	a, err := newAuthorization(withDefaults(map[string]string{template.AuthorizationParameter: authorization}), dataDir)
	if err != nil {
		return caller.Caller{}, err
	}
	return a.caller()
}

func (a authorization) caller() (caller.Caller, error) {
	c := caller.Caller{Authorization: a.kind}
	credential, err := a.credential()
	switch a.kind {
	case template.AuthorizationIAM:
		c.Credentials, c.Region = credentials.NewStaticCredentialsProvider(accessKeyID, a.key.secret, ""), region
	case template.AuthorizationCognito:
		c.Token = credential
	case template.AuthorizationAPIKey:
		c.APIKey = credential
	}
	return c, err
}

// credential returns the token or the API key that a client needs, or "".
func (a authorization) credential() (string, error) {
	switch a.kind {
	case template.AuthorizationCognito:
		return a.pool.token(time.Now())
	case template.AuthorizationAPIKey:
		return apiKey, nil
	}
	return "", nil
}

// curl returns the beginning of a curl command with authorization, and a line to run before it, or "".
func (a authorization) curl() (before, line string, err error) {
	credential, err := a.credential()
	if err != nil {
		return "", "", err
	}
	switch a.kind {
	case template.AuthorizationIAM:
		return "", "curl " + a.key.curl(), nil
	case template.AuthorizationAPIKey:
		return "", fmt.Sprintf("curl -H 'x-api-key: %s'", credential), nil
	case template.AuthorizationCognito:
		return fmt.Sprintf("token='%s'", credential), `curl -H "Authorization: $token"`, nil
	}
	return "", "curl", nil
}

// curlOptions returns the options of curl for the authorization, without secrets, or "".
func (a authorization) curlOptions() string {
	switch a.kind {
	case template.AuthorizationIAM:
		return a.key.curl()
	case template.AuthorizationAPIKey:
		return `-H "X-Api-Key: $key"`
	case template.AuthorizationCognito:
		return `-H "Authorization: $token"`
	}
	return ""
}

// accessKey is the access key of the one local user. Its secret is only in two files, for the AWS SDKs and for curl, so
// that no command contains it.
type accessKey struct {
	secret     string
	curlConfig string // path
}

// secretLine matches the secret access key in a file of credentials.
var secretLine = regexp.MustCompile(`(?m)^aws_secret_access_key *= *(\S+)$`)

// openAccessKey returns the access key in a data folder. It creates the files that are missing.
func openAccessKey(dataDir string) (accessKey, error) {
	file := datadir.Credentials(dataDir)
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		content = fmt.Appendf(nil, "[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n",
			accessKeyID, rand.Text())
		err = writePrivate(file, content)
	}
	if err != nil {
		return accessKey{}, fmt.Errorf("access key of the local stack: %w", err)
	}
	secret := secretLine.FindSubmatch(content)
	if secret == nil {
		return accessKey{}, fmt.Errorf("access key of the local stack: "+
			"want aws_secret_access_key in %s: delete the file to create a new key", file)
	}
	key := accessKey{secret: string(secret[1])}
	if key.curlConfig, err = filepath.Abs(datadir.CurlConfig(dataDir)); err != nil {
		return accessKey{}, fmt.Errorf("access key of the local stack: %w", err)
	}
	err = writePrivate(key.curlConfig, fmt.Appendf(nil, "# curl %s signs requests to the local stack.\n"+
		"aws-sigv4 = \"%s\"\nuser = \"%s:%s\"\n", key.curl(), sigv4.Scheme(region), accessKeyID, key.secret))
	if err != nil {
		return accessKey{}, fmt.Errorf("access key of the local stack: %w", err)
	}
	return key, nil
}

// curl returns the options of curl that sign requests.
func (k accessKey) curl() string { return "--config " + command.SingleQuote(k.curlConfig) }

// writePrivate writes a file that only the user can read, atomically.
func writePrivate(file string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return err
	}
	unfinished := file + "-" + rand.Text()
	err := os.WriteFile(unfinished, content, 0o600)
	if err == nil {
		err = os.Rename(unfinished, file)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(unfinished))
	}
	return nil
}

// userPool emulates a Cognito user pool with one signing key.
type userPool struct {
	arn, issuer string
	key         jose.JSONWebKey
}

func openUserPool(poolARN, keyFile string) (userPool, error) {
	name, err := arn.Parse(poolARN)
	if err != nil {
		return userPool{}, fmt.Errorf("user pool %s: %w", poolARN, err)
	}
	id := strings.TrimPrefix(name.Resource, "userpool/")
	pool := userPool{arn: poolARN, issuer: "https://cognito-idp." + name.Region + ".amazonaws.com/" + id}
	encoded, err := os.ReadFile(keyFile)
	if errors.Is(err, fs.ErrNotExist) {
		encoded, err = createKey(keyFile)
	}
	if err != nil {
		return userPool{}, fmt.Errorf("key of the user pool: %w", err)
	}
	if err := json.Unmarshal(encoded, &pool.key); err != nil || !pool.key.Valid() || pool.key.IsPublic() {
		return userPool{}, fmt.Errorf(
			"key of the user pool: want a private key in %s: delete the file to create a new key", keyFile)
	}
	return pool, nil
}

// createKey creates a key and returns it as JSON, which it also writes to file.
func createKey(file string) ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(jose.JSONWebKey{Key: key, KeyID: rand.Text(), Algorithm: string(jose.RS256), Use: "sig"})
	if err != nil {
		return nil, err
	}
	return encoded, writePrivate(file, encoded)
}

// token returns an identity token with the claims that Cognito's tokens have.
func (p userPool) token(now time.Time) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: p.key}, nil)
	if err != nil {
		return "", fmt.Errorf("create a token: %w", err)
	}
	token, err := jwt.Signed(signer).Claims(map[string]any{
		"iss": p.issuer, "sub": userPoolUser, "cognito:username": userPoolUser, "aud": "local", "token_use": "id",
		"auth_time": now.Unix(), "iat": now.Unix(), "exp": now.Add(tokenLifetime).Unix(),
	}).Serialize()
	if err != nil {
		return "", fmt.Errorf("create a token: %w", err)
	}
	return token, nil
}
