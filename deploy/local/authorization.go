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
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/userrequestapi/userdata/deploy/aws/sigv4"
	"github.com/userrequestapi/userdata/deploy/local/apigateway"
	"github.com/userrequestapi/userdata/deploy/template"
	"github.com/userrequestapi/userdata/deploy/template/caller"
)

// Credentials of the local stack. They are the same on every machine, so that commands can be pasted, and protect
// nothing.
const (
	accessKeyID     = "AKIAIOSFODNN7EXAMPLE"                     //nolint:gosec // example from AWS's documentation
	secretAccessKey = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" //nolint:gosec // the same
	userID          = "AIDACKCEVSQ6C2EXAMPLE"
	userARN         = "arn:aws:iam::" + accountID + ":user/local"

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

// authorization is the stage's type of authorization, with the user pool that it needs.
type authorization struct {
	kind string // value of the parameter Authorization
	pool userPool
}

func newAuthorization(parameters map[string]string, dataDir string) (authorization, error) {
	a := authorization{kind: parameters[template.AuthorizationParameter]}
	if a.kind != template.AuthorizationCognito {
		return a, nil
	}
	var err error
	a.pool, err = openUserPool(parameters[userPoolParameter], filepath.Join(dataDir, "userpool.json"))
	return a, err
}

// configure sets the credentials that the gateway accepts.
func (a authorization) configure(cfg *apigateway.Config) {
	cfg.Credentials = map[string]apigateway.Credential{
		accessKeyID: {SecretAccessKey: secretAccessKey, AccountID: accountID, UserID: userID, UserARN: userARN},
	}
	cfg.APIKeys = []apigateway.APIKey{{ID: apiKeyID, Value: apiKey}}
	if a.kind == template.AuthorizationCognito {
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
// Authorization and, for a user pool, with the key in its DataDir.
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
		c.Credentials, c.Region = credentials.NewStaticCredentialsProvider(accessKeyID, secretAccessKey, ""), region
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
func (a authorization) curl() (before, command string, err error) {
	credential, err := a.credential()
	if err != nil {
		return "", "", err
	}
	switch a.kind {
	case template.AuthorizationIAM:
		return "", "curl " + signedCurl(), nil
	case template.AuthorizationAPIKey:
		return "", fmt.Sprintf("curl -H 'x-api-key: %s'", credential), nil
	case template.AuthorizationCognito:
		return fmt.Sprintf("token='%s'", credential), `curl -H "Authorization: $token"`, nil
	}
	return "", "curl", nil
}

// curlOptions returns the options of curl for the authorization, with variables for the credentials, or "".
func (a authorization) curlOptions() string {
	switch a.kind {
	case template.AuthorizationIAM:
		return sigv4.Curl(region, sigv4.UserVariables)
	case template.AuthorizationAPIKey:
		return `-H "X-Api-Key: $key"`
	case template.AuthorizationCognito:
		return `-H "Authorization: $token"`
	}
	return ""
}

// signedCurl returns the options of curl that sign requests.
func signedCurl() string { return sigv4.Curl(region, accessKeyID+":"+secretAccessKey) }

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

// createKey creates a key and returns it as JSON, which it also writes to file: atomically, readable only by the user.
func createKey(file string) ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(jose.JSONWebKey{Key: key, KeyID: rand.Text(), Algorithm: string(jose.RS256), Use: "sig"})
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return nil, err
	}
	unfinished := file + "-" + rand.Text()
	if err = os.WriteFile(unfinished, encoded, 0o600); err == nil {
		err = os.Rename(unfinished, file)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(unfinished))
	}
	return encoded, nil
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
