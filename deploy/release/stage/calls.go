package stage

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
)

// onCall calls do before each AWS call with its service and operation, such as "S3" and "PutObject". If do returns an
// error, the call is not made.
func onCall(config *aws.Config, id string, do func(service, operation string) error) {
	config.APIOptions = append(config.APIOptions, func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc(id,
			func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
			) (middleware.InitializeOutput, middleware.Metadata, error) {
				if err := do(awsmiddleware.GetServiceID(ctx), awsmiddleware.GetOperationName(ctx)); err != nil {
					return middleware.InitializeOutput{}, middleware.Metadata{}, err
				}
				return next.HandleInitialize(ctx, in)
			}), middleware.After)
	})
}

// recordCalls appends the name of each AWS call to a file, such as "S3.PutObject". It shows which permissions the
// deployer needs.
func recordCalls(config *aws.Config, path string) {
	onCall(config, "RecordCalls", func(service, operation string) error { return appendLine(path, service+"."+operation) })
}

// noteChanges sets changed before the first call that may change the account.
func noteChanges(config *aws.Config, changed *atomic.Bool) {
	onCall(config, "NoteChanges", func(_, operation string) error {
		if !readsOnly(operation) {
			changed.Store(true)
		}
		return nil
	})
}

// readsOnly reports whether an operation changes nothing, judging by its name.
func readsOnly(operation string) bool {
	for _, verb := range []string{"BatchGet", "Describe", "Detect", "Filter", "Get", "Head", "List"} {
		if strings.HasPrefix(operation, verb) {
			return true
		}
	}
	return false
}

func appendLine(path, line string) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("record calls: %w", err)
	}
	if _, err := fmt.Fprintln(file, line); err != nil {
		_ = file.Close()
		return fmt.Errorf("record calls: %w", err)
	}
	return file.Close()
}
