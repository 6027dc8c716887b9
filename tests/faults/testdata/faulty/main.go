// Command faulty is a Lambda function that fails as the query parameter "fault" or, during init, the variable INIT
// specifies. Otherwise it returns the user in the query parameter "user".
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
)

type handler struct{}

// Invoke implements [lambda.Handler]. Lambda gets the returned bytes unchanged.
func (handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var event struct {
		Query map[string]string `json:"queryStringParameters"`
	}
	if err := json.Unmarshal(payload, &event); err != nil {
		return nil, err
	}
	switch fault := event.Query["fault"]; fault {
	case "":
		return user(event.Query["user"])
	case "panic":
		panic("internal secret")
	case "error":
		return nil, fmt.Errorf("internal secret")
	case "exit0":
		os.Exit(0)
	case "exit3":
		os.Exit(3)
	case "hang":
		select {}
	case "not JSON":
		return []byte("\x00 not JSON \xff"), nil
	case "not an object":
		return []byte(`"a string"`), nil
	case "unknown key":
		return []byte(`{"statusCode":200,"status":"ok"}`), nil
	case "invalid status code":
		return []byte(`{"statusCode":"ok"}`), nil
	case "large":
		return fmt.Appendf(nil, `{"statusCode":200,"body":%q}`, bytes.Repeat([]byte("x"), 6_291_557)), nil
	case "wait":
		// The invocation ends when the test creates the file.
		for ctx.Err() == nil {
			if _, err := os.Stat(event.Query["file"]); err == nil {
				return user(event.Query["user"])
			}
			time.Sleep(time.Millisecond)
		}
		return nil, ctx.Err()
	}
	return nil, fmt.Errorf("unknown fault %q", event.Query["fault"])
}

// user returns a response with a user that is valid according to the API document, if body is.
func user(body string) ([]byte, error) {
	return json.Marshal(map[string]any{"statusCode": 200, "body": body, "headers": map[string]string{
		"ETag": `"1"`, "Content-Location": "/prod/users/1",
		"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff", "Access-Control-Allow-Origin": "*",
		"Access-Control-Expose-Headers": "Accept, Accept-Encoding, Allow, Content-Location, Date, ETag, Idempotent-Replayed, " +
			"Link, Location, Retry-After, x-amz-apigw-id, x-amzn-ErrorType, x-amzn-RequestId, X-Amzn-Trace-Id",
	}})
}

func main() {
	switch os.Getenv("INIT") {
	case "exit":
		log.Fatal("init failed")
	case "panic":
		panic("init failed")
	case "hang":
		select {}
	}
	lambda.Start(handler{})
}
