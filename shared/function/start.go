package function

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"go.uber.org/zap"

	"github.com/userrequestapi/userdata/shared/logging"
	"github.com/userrequestapi/userdata/shared/request"
	"github.com/userrequestapi/userdata/shared/response"
	"github.com/userrequestapi/userdata/shared/tracing"
	"github.com/userrequestapi/userdata/shared/user"
	"github.com/userrequestapi/userdata/shared/userdata"
)

// Start runs a function that answers with handler, and does not return. Where the settings are missing or wrong, it says so in
// one log line and to the Lambda Runtime API, and ends the process.
func Start(handler Handler) {
	f, err := initialize(handler)
	if err != nil {
		os.Exit(1)
	}
	lambda.Start(f.Handle)
}

func initialize(handler Handler) (*Function, error) {
	settings, err := ReadSettings(os.Getenv)
	logger, logErr := logging.New(os.Stdout, settings.Log)
	if err = errors.Join(err, logErr); err != nil {
		err = fmt.Errorf("settings: %w", err)
		settings.Log.Level, settings.Log.LambdaLevel = "", "" // they may be what is wrong, and must not hide it
		logger, _ = logging.New(os.Stdout, settings.Log)      // only levels can be wrong
		logger.Error("init failed", zap.Error(err))
		if reportErr := reportInitError(os.Getenv("AWS_LAMBDA_RUNTIME_API"), err); reportErr != nil {
			logger.Error("init error not reported", zap.Error(reportErr))
		}
		return nil, err
	}
	users := userdata.New(newClient(settings), settings.Table)
	f := New(handler, users, settings, logger)
	log.SetFlags(log.Llongfile)
	log.SetOutput(logging.Standard(f.currentLogger))
	if err := tracing.Configure(f.currentLogger); err != nil {
		logger.Warn("tracing goes to the default daemon address", zap.Error(err))
	}
	warmUp(users, settings)
	return f, nil
}

func newClient(s Settings) *dynamodb.Client {
	return userdata.NewClient(userdata.ClientConfig{
		Region:      s.Region,
		Endpoint:    s.Endpoint,
		Credentials: aws.CredentialsProviderFunc(credentials),
		Trace:       tracing.Middleware(s.Table),
	})
}

// credentials are those that Lambda puts into the environment. Another environment gets new ones before they expire.
func credentials(context.Context) (aws.Credentials, error) {
	c := aws.Credentials{
		AccessKeyID:     os.Getenv("AWS_ACCESS_KEY_ID"),
		SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"),
		SessionToken:    os.Getenv("AWS_SESSION_TOKEN"),
		Source:          "environment",
	}
	if c.AccessKeyID == "" || c.SecretAccessKey == "" {
		return c, errors.New("credentials: AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is not set")
	}
	return c, nil
}

// warmUpTime bounds what a database that is down costs the first request.
const warmUpTime = time.Second

// warmUp does all that a request does once, while Lambda gives the function all of a CPU: reading an event, decoding and encoding
// a user, logging, and a real read, which opens the connection to DynamoDB. What comes of it does not matter: the first
// request will meet the same.
func warmUp(users user.Store, settings Settings) {
	settings.Log.Level = "" // so that there is something to log
	logger, err := logging.New(io.Discard, settings.Log)
	if err != nil {
		return
	}
	f := New(readNobody, users, settings, logger)
	ctx, cancel := context.WithTimeout(context.Background(), warmUpTime+reserve)
	defer cancel()
	_, _ = lambda.NewHandler(f.Handle).Invoke(ctx, []byte(`{"httpMethod":"POST","resource":"/users","path":"/users","headers":{},
		"multiValueHeaders":{"Content-Type":["application/json"]},"requestContext":{"path":"/users","identity":{}},
		"body":"{\"name\":\"Nobody\",\"n\":1}","isBase64Encoded":false}`))
}

// readNobody reads a user with an id that nobody can have, and answers with the one that was sent.
func readNobody(ctx context.Context, api API, req *request.Request) (response.Response, error) {
	sent, err := req.User()
	if err != nil {
		return response.Response{}, err
	}
	_, _ = api.Users.Get(ctx, "!")
	return response.User(http.StatusOK, user.User{Attributes: sent}, req.UserPath("")), nil
}

// reportTime bounds the report to Lambda that the function cannot start.
const reportTime = time.Second

// reportInitError tells Lambda why the function cannot start ("Lambda runtime API": initialization error).
func reportInitError(runtimeAPI string, failure error) error {
	body, err := json.Marshal(map[string]string{"errorType": "Function.InvalidSettings", "errorMessage": failure.Error()})
	if err != nil {
		return fmt.Errorf("encode init error: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), reportTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost,
		"http://"+runtimeAPI+"/2018-06-01/runtime/init/error", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("report init error: %w", err)
	}
	req.Header.Set("Lambda-Runtime-Function-Error-Type", "Function.InvalidSettings")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("report init error: %w", err)
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	if err == nil && res.StatusCode != http.StatusAccepted {
		err = fmt.Errorf("report init error: status %d", res.StatusCode)
	}
	return err
}
