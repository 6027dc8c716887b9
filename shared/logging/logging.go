// Package logging writes log lines as JSON objects, with the keys of Lambda's JSON log format (timestamp, level,
// message, requestId). A context carries the logger with the fields of a request.
//
// Log lines must not contain personal data. To identify a user, use [UserID].
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

// Config has the log levels and the fields of every line.
type Config struct {
	// Level is the lowest level written (LOG_LEVEL): TRACE, DEBUG, INFO, WARN, ERROR or FATAL, in any case. The
	// default is INFO.
	Level string
	// LambdaLevel is the application log level of the function (AWS_LAMBDA_LOG_LEVEL), or empty. The higher level of
	// the two applies, because Lambda discards lines below its own.
	LambdaLevel string

	// Service, Function and Version identify the source of a line. Empty ones are omitted.
	Service  string
	Function string
	Version  string
}

// New returns a logger that writes each entry to w as one line of JSON, without buffering or sampling. It is safe for
// concurrent use. It adds no stack traces: pass [zap.Stack] for one. It returns an error for an unknown level.
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

// parseLevel parses the value of the named setting, or returns unset if it is empty. The levels are those of Lambda's
// JSON log format. zap has none below DEBUG, so TRACE means DEBUG.
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
	return 0, fmt.Errorf("%s: want TRACE, DEBUG, INFO, WARN, ERROR or FATAL, got %q", setting, value)
}

// encodeTime encodes t in RFC 3339 format, in UTC with milliseconds, as Lambda does.
func encodeTime(t time.Time, enc zapcore.PrimitiveArrayEncoder) {
	enc.AppendString(t.UTC().Format("2006-01-02T15:04:05.000Z07:00"))
}

// encodeMilliseconds encodes d as a number of milliseconds. By convention, the name of its field ends in Ms.
func encodeMilliseconds(d time.Duration, enc zapcore.PrimitiveArrayEncoder) {
	enc.AppendFloat64(float64(d.Microseconds()) / 1000)
}

func nonEmpty(key, value string) zap.Field {
	if value == "" {
		return zap.Skip()
	}
	return zap.String(key, value)
}

// UserID returns the field userIdHash: the first 64 bits of the id's SHA-256 in hex. It identifies the lines of a
// user without the id. It is a pseudonym: anyone who guesses an id can confirm it. An empty id adds no field.
func UserID(id string) zap.Field {
	if id == "" {
		return zap.Skip()
	}
	sum := sha256.Sum256([]byte(id))
	return zap.String("userIdHash", hex.EncodeToString(sum[:8]))
}

type contextKey struct{}

// With returns a context with the logger, for [From].
func With(ctx context.Context, logger *zap.Logger) context.Context {
	return context.WithValue(ctx, contextKey{}, logger)
}

// From returns the logger of [With], or a no-op logger. It never returns nil.
func From(ctx context.Context) *zap.Logger {
	if logger, _ := ctx.Value(contextKey{}).(*zap.Logger); logger != nil {
		return logger
	}
	return zap.NewNop()
}
