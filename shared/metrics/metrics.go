// Package metrics adds custom metrics to log lines in the embedded metric format. The member _aws names the members
// of the line that are metric values and dimensions, and CloudWatch Logs extracts the metrics ("Specification:
// Embedded metric format" in the Amazon CloudWatch User Guide).
package metrics

import (
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Counter is a metric that each log line increments by one.
type Counter struct {
	Namespace string // 1 to 255 characters
	Name      string // of the metric and of the member with its value
	// Dimensions are the names of the line's members that are the dimensions. Their values must be nonempty strings.
	Dimensions []string
}

// Fields returns the fields of a line with these metrics at this time. The caller adds the fields of the dimensions.
func Fields(at time.Time, counters ...Counter) []zap.Field {
	if len(counters) == 0 {
		return nil
	}
	fields := []zap.Field{zap.Object("_aws", metadata{at, counters})}
	for _, c := range counters {
		fields = append(fields, zap.Int(c.Name, 1))
	}
	return fields
}

// metadata is the metadata object of the specification.
type metadata struct {
	at       time.Time
	counters []Counter
}

func (m metadata) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddInt64("Timestamp", m.at.UnixMilli())
	return enc.AddArray("CloudWatchMetrics", zapcore.ArrayMarshalerFunc(func(enc zapcore.ArrayEncoder) error {
		for _, c := range m.counters {
			if err := enc.AppendObject(c); err != nil {
				return err
			}
		}
		return nil
	}))
}

// MarshalLogObject implements [zapcore.ObjectMarshaler] as a MetricDirective object.
func (c Counter) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("Namespace", c.Namespace)
	if err := enc.AddArray("Dimensions", zapcore.ArrayMarshalerFunc(func(enc zapcore.ArrayEncoder) error {
		return enc.AppendArray(zapcore.ArrayMarshalerFunc(func(enc zapcore.ArrayEncoder) error {
			for _, d := range c.Dimensions {
				enc.AppendString(d)
			}
			return nil
		}))
	})); err != nil {
		return err
	}
	return enc.AddArray("Metrics", zapcore.ArrayMarshalerFunc(func(enc zapcore.ArrayEncoder) error {
		return enc.AppendObject(zapcore.ObjectMarshalerFunc(func(enc zapcore.ObjectEncoder) error {
			enc.AddString("Name", c.Name)
			enc.AddString("Unit", "Count")
			return nil
		}))
	}))
}
