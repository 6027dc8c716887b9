package release

import (
	"context"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
)

// recordCalls has each call to AWS added to a file, as "S3.PutObject": what the deployer needs permissions for.
func recordCalls(config *aws.Config, path string) {
	config.APIOptions = append(config.APIOptions, func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("RecordCalls",
			func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
			) (middleware.InitializeOutput, middleware.Metadata, error) {
				if err := appendLine(path, awsmiddleware.GetServiceID(ctx)+"."+awsmiddleware.GetOperationName(ctx)); err != nil {
					return middleware.InitializeOutput{}, middleware.Metadata{}, err
				}
				return next.HandleInitialize(ctx, in)
			}), middleware.After)
	})
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
