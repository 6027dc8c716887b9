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

// Start runs a Lambda function that serves requests with handler. It does not return. If settings are missing or
// invalid, it writes one log line, reports the error to the Lambda runtime API, and exits with status 1.
func Start(handler Handler) {
	server, err := initialize(handler)
	if err != nil {
		os.Exit(1)
	}
	lambda.Start(server.Handle)
}

func initialize(handler Handler) (*Server, error) {
	settings, err := ReadSettings(os.Getenv)
	logger, logErr := logging.New(os.Stdout, settings.Log)
	if err = errors.Join(err, logErr); err != nil {
		err = fmt.Errorf("settings: %w", err)
		settings.Log.Level, settings.Log.LambdaLevel = "", "" // they can be invalid, or suppress the line
		logger, _ = logging.New(os.Stdout, settings.Log)      // fails only for an invalid level
		logger.Error("init failed", zap.Error(err))
		if reportErr := reportInitError(os.Getenv("AWS_LAMBDA_RUNTIME_API"), err); reportErr != nil {
			logger.Error("init error not reported", zap.Error(reportErr))
		}
		return nil, err
	}
	users := userdata.New(newClient(settings), settings.Table)
	server := New(handler, users, settings, logger)
	log.SetFlags(log.Llongfile)
	log.SetOutput(logging.Standard(server.currentLogger))
	if err := tracing.Configure(server.currentLogger); err != nil {
		logger.Warn("tracing goes to the default daemon address", zap.Error(err))
	}
	warmUp(users, settings)
	return server, nil
}

func newClient(s Settings) *dynamodb.Client {
	return userdata.NewClient(userdata.ClientConfig{
		Region:      s.Region,
		Endpoint:    s.Endpoint,
		Credentials: aws.CredentialsProviderFunc(credentials),
		Trace:       tracing.Middleware(s.Table),
	})
}

// credentials returns the credentials in the environment variables that Lambda sets. Lambda replaces an execution
// environment before its credentials expire.
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

// warmUpTimeout limits the delay of a cold start when DynamoDB cannot be reached.
const warmUpTimeout = time.Second

// warmUp serves one request during init, when Lambda provides a full CPU: it decodes an event, decodes and encodes a
// user, logs, and reads from DynamoDB, which opens the connection. Errors are ignored: the first request reports
// them.
func warmUp(users user.Store, settings Settings) {
	settings.Log.Level = "" // the default level writes the request line
	logger, err := logging.New(io.Discard, settings.Log)
	if err != nil {
		return
	}
	server := New(serveWarmUp, users, settings, logger)
	ctx, cancel := context.WithTimeout(context.Background(), warmUpTimeout+reserve)
	defer cancel()
	_, _ = lambda.NewHandler(server.Handle).Invoke(ctx, []byte(`{"httpMethod":"POST","resource":"/users","path":"/users",
		"headers":{},"multiValueHeaders":{"Content-Type":["application/json"]},
		"requestContext":{"path":"/users","identity":{}},
		"body":"{\"name\":\"Nobody\",\"n\":1}","isBase64Encoded":false}`))
}

// serveWarmUp reads a user that does not exist, because its id is not valid, and returns the user in the request.
func serveWarmUp(ctx context.Context, deps Dependencies, req *request.Request) (response.Response, error) {
	sent, err := req.User()
	if err != nil {
		return response.Response{}, err
	}
	_, _ = deps.Users.Get(ctx, "!")
	return response.User(http.StatusOK, user.User{Attributes: sent}, req.UserPath("")), nil
}

const reportTimeout = time.Second

// reportInitError sends failure to the runtime API ("Initialization error" in the AWS Lambda Developer Guide).
func reportInitError(runtimeAPI string, failure error) error {
	body, err := json.Marshal(map[string]string{"errorType": "Function.InvalidSettings", "errorMessage": failure.Error()})
	if err != nil {
		return fmt.Errorf("encode init error: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), reportTimeout)
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
		err = fmt.Errorf("report init error: got status code %d, want %d", res.StatusCode, http.StatusAccepted)
	}
	return err
}
