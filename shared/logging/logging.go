// Package logging writes one JSON object per event and line, with the keys that Lambda's own JSON log format uses
// (timestamp, level, message, requestId), and carries a logger with a request's fields in the context.
//
// Nothing personal belongs in a log line: of a user, only [UserID] is written.
package logging

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Config says what is logged, and the fields that every line carries.
type Config struct {
	// Level is the lowest level written (LOG_LEVEL): TRACE, DEBUG, INFO, WARN, ERROR or FATAL, in any case. Empty means
	// INFO.
	Level string
	// LambdaLevel is the application log level set on the function (AWS_LAMBDA_LOG_LEVEL). The stricter of the two counts,
	// since Lambda drops what is below it anyway. Empty means that Lambda sets none.
	LambdaLevel string

	// Service, Function and Version name the source of a line. An empty one is left out.
	Service  string
	Function string
	Version  string
}

// New returns a logger that writes each event to w as one line of JSON, at once and unsampled, from any goroutine.
// It adds no stack traces: pass [zap.Stack] where one is wanted. The error names a level that is unknown and those allowed.
func New(w io.Writer, config Config) (*zap.Logger, error) {
	level, err := parseLevel("LOG_LEVEL", config.Level, zapcore.InfoLevel)
	if err != nil {
		return nil, err
	}
	lambdaLevel, err := parseLevel("AWS_LAMBDA_LOG_LEVEL", config.LambdaLevel, level)
	if err != nil {
		return nil, err
	}
	encoder := zapcore.NewJSONEncoder(zapcore.EncoderConfig{
		TimeKey:        "timestamp",
		LevelKey:       "level",
		MessageKey:     "message",
		EncodeTime:     encodeTime,
		EncodeLevel:    zapcore.CapitalLevelEncoder,
		EncodeDuration: encodeMilliseconds,
	})
	core := zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), max(level, lambdaLevel))
	return zap.New(core).With(
		nonEmpty("service", config.Service),
		nonEmpty("function", config.Function),
		nonEmpty("version", config.Version),
	), nil
}

// parseLevel reads the value of the named setting. Levels are those of Lambda's JSON log format; zap has none below
// DEBUG, so TRACE is DEBUG.
func parseLevel(setting, value string, unset zapcore.Level) (zapcore.Level, error) {
	switch strings.ToUpper(value) {
	case "":
		return unset, nil
	case "TRACE", "DEBUG":
		return zapcore.DebugLevel, nil
	case "INFO":
		return zapcore.InfoLevel, nil
	case "WARN":
		return zapcore.WarnLevel, nil
	case "ERROR":
		return zapcore.ErrorLevel, nil
	case "FATAL":
		return zapcore.FatalLevel, nil
	}
	return 0, fmt.Errorf("log level: %s is %q: set it to TRACE, DEBUG, INFO, WARN, ERROR or FATAL", setting, value)
}

// encodeTime writes RFC 3339 in UTC with milliseconds, as Lambda does.
func encodeTime(t time.Time, enc zapcore.PrimitiveArrayEncoder) {
	enc.AppendString(t.UTC().Format("2006-01-02T15:04:05.000Z07:00"))
}

// encodeMilliseconds makes a duration a number that a query can compare; the field's name says Ms.
func encodeMilliseconds(d time.Duration, enc zapcore.PrimitiveArrayEncoder) {
	enc.AppendFloat64(float64(d.Microseconds()) / 1000)
}

func nonEmpty(key, value string) zap.Field {
	if value == "" {
		return zap.Skip()
	}
	return zap.String(key, value)
}

// UserID is the field userIdHash: the first 64 bits of the id's SHA-256 in hex. It finds the lines of one user without
// showing the id; an id that can be guessed can be confirmed, so it is a pseudonym. An empty id adds no field.
func UserID(id string) zap.Field {
	if id == "" {
		return zap.Skip()
	}
	sum := sha256.Sum256([]byte(id))
	return zap.String("userIdHash", hex.EncodeToString(sum[:8]))
}

type contextKey struct{}

// With returns a context that carries the logger, for [From].
func With(ctx context.Context, logger *zap.Logger) context.Context {
	return context.WithValue(ctx, contextKey{}, logger)
}

// From returns the logger that [With] put into the context, and never nil: without one, a logger that writes nothing.
func From(ctx context.Context) *zap.Logger {
	if logger, _ := ctx.Value(contextKey{}).(*zap.Logger); logger != nil {
		return logger
	}
	return zap.NewNop()
}
