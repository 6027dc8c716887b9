package function

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
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
	StartWith(func(Tables) Handler { return handler })
}

// Tables returns the client for DynamoDB, which all tables share, and the name of the table in an environment variable.
// The template sets the variable if the function's entry lists the table. Without it, the function does not start.
type Tables func(variable string) (client *dynamodb.Client, name string)

// StartWith is [Start] for a function that has a store of its own. newHandler creates the store and returns the handler
// that uses it, for example
//
//	func(tables function.Tables) function.Handler { return list(orderdata.New(tables("ORDERS_TABLE_NAME"))) }
func StartWith(newHandler func(Tables) Handler) {
	server, err := initialize(newHandler)
	if err != nil {
		os.Exit(1)
	}
	lambda.Start(server)
}

func initialize(newHandler func(Tables) Handler) (*Server, error) {
	settings, err := ReadSettings(os.Getenv)
	db := &database{settings: settings}
	handler := newHandler(db.table)
	logger, logErr := logging.New(os.Stdout, settings.Log)
	if err = errors.Join(err, db.err, logErr); err != nil {
		err = fmt.Errorf("settings: %w", err)
		settings.Log.Level, settings.Log.LambdaLevel = "", "" // they can be invalid, or suppress the line
		logger, _ = logging.New(os.Stdout, settings.Log)      // fails only for an invalid level
		logger.Error("init failed", zap.Error(err))
		if reportErr := reportInitError(os.Getenv("AWS_LAMBDA_RUNTIME_API"), err); reportErr != nil {
			logger.Error("init error not reported", zap.Error(reportErr))
		}
		return nil, err
	}
	var users user.Store
	if settings.Table != "" {
		users = userdata.New(db.connect(), settings.Table)
	}
	server := New(handler, users, settings, logger)
	log.SetFlags(log.Llongfile)
	log.SetOutput(logging.Standard(server.currentLogger))
	if err := tracing.Configure(server.currentLogger); err != nil {
		logger.Warn("tracing goes to the default daemon address", zap.Error(err))
	}
	limitMemory(os.Getenv)
	warmUp(users, db, settings)
	return server, nil
}

// limitMemory collects garbage more often than GOGC says when the heap is close to the memory size of the function.
// Otherwise, large bodies and pages could exceed a small one. GOMEMLIMIT takes precedence.
func limitMemory(getenv func(string) string) {
	size, err := strconv.ParseInt(getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"), 10, 32) // in MB
	if err == nil && getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(size << 20 * 3 / 4)
	}
}

// database is DynamoDB with the tables of a function.
type database struct {
	settings Settings
	client   *dynamodb.Client // nil before the first use
	names    []string         // of the tables, without that of the users
	err      error            // the faults in the names
}

// connect returns the client. It opens no connection.
func (d *database) connect() *dynamodb.Client {
	if d.client == nil {
		var roots *x509.CertPool
		if d.settings.Endpoint == "" {
			roots = userdata.AmazonRoots()
		}
		d.client = userdata.NewClient(userdata.ClientConfig{
			Region:      d.settings.Region,
			Endpoint:    d.settings.Endpoint,
			Credentials: aws.CredentialsProviderFunc(credentials),
			Roots:       roots,
			Trace:       tracing.Middleware,
		})
	}
	return d.client
}

// table implements [Tables].
func (d *database) table(variable string) (client *dynamodb.Client, name string) {
	name, err := readTable(os.Getenv, variable)
	if name == "" && err == nil {
		err = fmt.Errorf("%s is not set: list the table in the function's entry in deploy/template.yaml", variable)
	}
	d.err = errors.Join(d.err, err)
	d.names = append(d.names, name)
	return d.connect(), name
}

// open opens the connection with a read from any of the tables. The read need not be allowed: a response that refuses
// it opens the connection, too.
func (d *database) open(ctx context.Context) {
	if len(d.names) == 0 {
		return
	}
	none := &types.AttributeValueMemberS{Value: "-"}
	_, _ = d.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &d.names[0], Key: map[string]types.AttributeValue{"-": none},
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
// user, logs, and reads from DynamoDB, which opens the connection. A function without a table reads nothing. Errors are
// ignored: the first request reports them.
func warmUp(users user.Store, db *database, settings Settings) {
	settings.Log.Level = "" // the default level writes the request line
	logger, err := logging.New(io.Discard, settings.Log)
	if err != nil {
		return
	}
	server := New(serveWarmUp(db), users, settings, logger)
	ctx, cancel := context.WithTimeout(context.Background(), warmUpTimeout+reserve)
	defer cancel()
	_, _ = server.Invoke(ctx, []byte(`{"httpMethod":"POST","resource":"/users","path":"/users",
		"headers":{},"multiValueHeaders":{"Content-Type":["application/json"]},
		"requestContext":{"path":"/users","identity":{}},
		"body":"{\"name\":\"Nobody\",\"n\":1}","isBase64Encoded":false}`))
}

// serveWarmUp reads a user that does not exist, because its id is not valid, and returns the user in the request.
func serveWarmUp(db *database) Handler {
	return func(ctx context.Context, deps Dependencies, req *request.Request) (response.Response, error) {
		sent, err := req.User()
		if err != nil {
			return response.Response{}, err
		}
		if deps.Users != nil {
			_, _ = deps.Users.Get(ctx, "!")
		} else {
			db.open(ctx)
		}
		return response.User(http.StatusOK, user.User{Attributes: sent}, req.UserPath("")), nil
	}
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
