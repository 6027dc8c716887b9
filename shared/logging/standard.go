package logging

import (
	"io"
	"strings"

	"go.uber.org/zap"
)

// Standard returns an output for a [log.Logger] with the flag [log.Llongfile] alone, by which what libraries print becomes lines
// of the logger that is returned by logger at that time. A line names its source, a file and line. What it says is told only of
// the Lambda runtime client, as an ERROR; it prints that an invocation, or the function as a whole, has failed. The others, such
// as net/http, quote what they have received from the database, which can be personal: of them there is a WARN with the source.
func Standard(logger func() *zap.Logger) io.Writer { return standard(logger) }

type standard func() *zap.Logger

// Write implements [io.Writer] for what a log.Logger writes: one event at once.
func (s standard) Write(p []byte) (int, error) {
	source, text, _ := strings.Cut(strings.TrimSuffix(string(p), "\n"), ": ")
	if _, file, ok := strings.Cut(source, "/aws/aws-lambda-go@"); ok {
		s().Error("lambda runtime client", zap.String("source", "aws-lambda-go@"+file), zap.String("error", text))
		return len(p), nil
	}
	s().Warn("library", zap.String("source", source))
	return len(p), nil
}
