// Package metrics makes a log line count: CloudWatch Logs reads custom metrics out of a line that says in its member _aws which
// of its other members are values and which are dimensions ("Specification: Embedded metric format", Amazon CloudWatch User
// Guide). Nothing is sent, and the line stays what it is for everybody else.
package metrics

import (
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Counter adds one to the metric Name of each line that it is in.
type Counter struct {
	Namespace string // 1 to 255 characters
	Name      string // of the metric, and of the member that holds its value, 1
	// Dimensions are the names of the line's members, all strings and none of them empty, by which the metric is told apart.
	Dimensions []string
}

// Fields returns the members by which a line at this time counts. The caller adds those that the dimensions name.
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

// metadata is the specification's metadata object.
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

// MarshalLogObject implements [zapcore.ObjectMarshaler] with the specification's metric directive.
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
