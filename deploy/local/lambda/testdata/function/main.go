// Command function is the Lambda function of the tests. The payload selects what an invocation does; the environment
// variable INIT selects what the init phase does.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type request struct {
	Do    string `json:"do"`
	Text  string `json:"text"`
	Bytes int    `json:"bytes"`
}

type handler struct{ invocations int }

func (h *handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	h.invocations++
	var r request
	if err := json.Unmarshal(payload, &r); err != nil {
		return nil, err
	}
	switch r.Do {
	case "echo":
		return payload, nil
	case "error":
		return nil, errors.New(r.Text)
	case "panic":
		panic(r.Text)
	case "exit0":
		os.Exit(0)
	case "exit3":
		fmt.Print("last words without an end")
		os.Exit(3)
	case "kill":
		return nil, syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "hang":
		fmt.Println("hanging")
		hang()
	case "nonsense":
		return []byte("\x00 not JSON \xff"), nil
	case "big":
		return bytes.Repeat([]byte("x"), r.Bytes), nil
	case "print":
		fmt.Print(r.Text)
		return []byte(`"printed"`), nil
	case "orphan":
		child := exec.Command("sleep", "60")
		if err := child.Start(); err != nil {
			return nil, err
		}
		fmt.Println(child.Process.Pid)
		os.Exit(1)
	case "wait":
		// Blocks until the test creates the file.
		for ctx.Err() == nil {
			if _, err := os.Stat(r.Text); err == nil {
				return json.Marshal(os.Getpid())
			}
			time.Sleep(time.Millisecond)
		}
		return nil, ctx.Err()
	case "wrong":
		return sendInvalidRequests(ctx)
	case "report":
		lc, _ := lambdacontext.FromContext(ctx)
		deadline, _ := ctx.Deadline()
		folder, _ := os.Getwd()
		return json.Marshal(map[string]any{
			"environment": os.Environ(),
			"requestId":   lc.AwsRequestID,
			"arn":         lc.InvokedFunctionArn,
			"deadline":    deadline,
			"trace":       ctx.Value("x-amzn-trace-id"),
			"folder":      folder,
			"invocations": h.invocations,
		})
	}
	return nil, fmt.Errorf("cannot do %q", r.Do)
}

// sendInvalidRequests sends requests that the Runtime API must reject, prints the responses and exits.
func sendInvalidRequests(ctx context.Context) ([]byte, error) {
	lc, _ := lambdacontext.FromContext(ctx)
	const unknown = "/2018-06-01/runtime/invocation/8476a536-e9f4-11e8-9739-2dfe598c3fcd"
	own := "/2018-06-01/runtime/invocation/" + lc.AwsRequestID
	for _, c := range []call{
		{method: "GET", path: "/2018-06-01/runtime/invocation/next"},
		{method: "POST", path: unknown + "/response"},
		{method: "POST", path: unknown + "/error"},
		{method: "POST", path: "/2018-06-01/runtime/init/error"},
		{method: "POST", path: "/2020-01-01/extension/register", body: "{}"},
		{method: "GET", path: "/2018-06-01/runtime/nothing"},
		{method: "POST", path: "/2018-06-01/runtime/invocation/next"},
		{method: "POST", path: own + "/response", body: `{"events":[]}`},
		{method: "POST", path: own + "/response"},
	} {
		response, err := c.do()
		if err != nil {
			return nil, err
		}
		fmt.Println(response)
	}
	os.Exit(1)
	return nil, nil
}

// call is a request to the Runtime API.
type call struct{ method, path, body string }

// do sends the request and returns the status code and the body of the response.
func (c call) do() (string, error) {
	url := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + c.path
	req, err := http.NewRequestWithContext(context.Background(), c.method, url, strings.NewReader(c.body))
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(resp.Body)
	return fmt.Sprintf("%d %s", resp.StatusCode, strings.TrimSpace(string(body))), errors.Join(err, resp.Body.Close())
}

func main() {
	fmt.Println("init")
	switch init := os.Getenv("INIT"); init {
	case "exit":
		os.Exit(7)
	case "hang":
		hang()
	case "hang once":
		// The first process creates the file and hangs; the second finds it.
		if _, err := os.Stat(os.Getenv("MARK")); err != nil {
			_ = os.WriteFile(os.Getenv("MARK"), nil, 0o600)
			hang()
		}
	case "error", "error and stay":
		response, err := call{method: "POST", path: "/2018-06-01/runtime/init/error",
			body: `{"errorType":"Settings","errorMessage":"TABLE_NAME is wrong"}`}.do()
		fmt.Println("posted", response, err)
		if init == "error" {
			os.Exit(1)
		}
		hang()
	}
	lambda.Start(&handler{})
}

// hang sleeps forever. Blocking on an empty select would end the process with a deadlock error.
func hang() {
	for {
		time.Sleep(time.Hour)
	}
}
