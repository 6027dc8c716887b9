package logging

import (
	"io"
	"strings"

	"go.uber.org/zap"
)

// Standard returns an output for a [log.Logger] with the flag [log.Llongfile] only. It writes each message to the
// logger that logger returns at that time, with the file and line as its source.
//
// A message of the Lambda runtime client, which reports a failed invocation or function, is logged as an ERROR with its
// text. The messages of other libraries, such as net/http, can contain personal data received from the database: only
// their source is logged, as a WARN.
func Standard(logger func() *zap.Logger) io.Writer { return standard(logger) }

type standard func() *zap.Logger

// Write implements [io.Writer]. A log.Logger calls it once for each message.
func (s standard) Write(p []byte) (int, error) {
	source, message, _ := strings.Cut(strings.TrimSuffix(string(p), "\n"), ": ")
	if _, file, ok := strings.Cut(source, "/aws/aws-lambda-go@"); ok {
		s().Error("lambda runtime client", zap.String("source", "aws-lambda-go@"+file), zap.String("error", message))
		return len(p), nil
	}
	s().Warn("library", zap.String("source", source))
	return len(p), nil
}
