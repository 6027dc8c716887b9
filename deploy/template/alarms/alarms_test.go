package alarms_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/template/alarms"
)

// alarm returns properties of an alarm: a copy of the first ones, with the changes.
func alarm(changes map[string]any) map[string]any {
	properties := map[string]any{
		"Namespace": "AWS/Lambda", "MetricName": "Errors", "Statistic": "Sum", "Period": int64(60),
		"EvaluationPeriods": int64(3), "Threshold": int64(0), "ComparisonOperator": "GreaterThanThreshold",
		"TreatMissingData": "notBreaching",
	}
	for name, value := range changes {
		if properties[name] = value; value == nil {
			delete(properties, name)
		}
	}
	return properties
}

// minutes returns traffic that has the same samples for each metric: per minute, 0 for a value within the threshold,
// X for one above it, and - for no data.
func minutes(pattern string) alarms.Traffic {
	return func(_ alarms.Metric, minute int) []alarms.Sample {
		switch pattern[minute] {
		case '0':
			return []alarms.Sample{{Value: 0, Count: 1}}
		case 'X':
			return []alarms.Sample{{Value: 1, Count: 1}}
		default:
			return nil
		}
	}
}

// The tables in "Configuring how CloudWatch alarms treat missing data": the evaluation range has two data points more
// than EvaluationPeriods.
func TestMissingData(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		points, missing string
		m, n            int64
		want            bool
	}{
		{"0-X-X", "notBreaching", 3, 3, false},
		{"0-X-X", "breaching", 3, 3, false},
		{"----0", "notBreaching", 3, 3, false},
		{"-----", "notBreaching", 3, 3, false},
		{"-----", "breaching", 3, 3, true},
		{"0XX-X", "notBreaching", 3, 3, true},
		{"0XX-X", "breaching", 3, 3, true},
		{"--X--", "notBreaching", 3, 3, false},
		{"--X--", "breaching", 3, 3, true},
		{"0-X-X", "notBreaching", 2, 3, true},
		{"00X-X", "notBreaching", 2, 3, true},
		{"0-X--", "notBreaching", 2, 3, false},
		{"0-X--", "breaching", 2, 3, true},
		{"---X-", "notBreaching", 2, 3, false},
		{"X----0", "notBreaching", 1, 3, false}, // before the evaluation range
	} {
		t.Run(fmt.Sprint(test), func(t *testing.T) {
			t.Parallel()
			a, err := alarms.Parse(alarm(map[string]any{
				"EvaluationPeriods": test.n, "DatapointsToAlarm": test.m, "TreatMissingData": test.missing,
			}))
			if err != nil {
				t.Fatal(err)
			}
			states, err := a.InAlarm(minutes(test.points), len(test.points), 2)
			if err != nil {
				t.Fatal(err)
			}
			if got := states[len(states)-1]; got != test.want {
				t.Errorf("got ALARM %t, want %t; by minute: %v", got, test.want, states)
			}
		})
	}
}

// An alarm on metrics of DynamoDB keeps its state while data is missing.
func TestMissingData_DynamoDB(t *testing.T) {
	t.Parallel()
	a, err := alarms.Parse(alarm(map[string]any{"Namespace": "AWS/DynamoDB", "MetricName": "ReadThrottleEvents"}))
	if err != nil {
		t.Fatal(err)
	}
	got, err := a.InAlarm(minutes("0XXX----0"), 9, 0)
	want := []bool{false, false, false, true, true, true, true, true, false}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v, states (-want +got):\n%s", err, diff)
	}
}

// A percentile of few samples keeps the state if EvaluateLowSampleCountPercentile is ignore: the alarm never goes off,
// or never recovers.
func TestFewSamples(t *testing.T) {
	t.Parallel()
	traffic := func(_ alarms.Metric, minute int) []alarms.Sample {
		return [][]alarms.Sample{
			{{Value: 2000, Count: 999}},
			{{Value: 50, Count: 989}, {Value: 2000, Count: 11}},
			{{Value: 50, Count: 1}},
			{{Value: 50, Count: 990}, {Value: 2000, Count: 10}},
		}[minute]
	}
	for few, want := range map[any][]bool{"ignore": {false, true, true, false}, nil: {true, true, false, false}} {
		t.Run(fmt.Sprint(few), func(t *testing.T) {
			t.Parallel()
			a, err := alarms.Parse(alarm(map[string]any{
				"MetricName": "Latency", "Statistic": nil, "ExtendedStatistic": "p99", "Threshold": int64(1000),
				"EvaluationPeriods": int64(1), "EvaluateLowSampleCountPercentile": few,
			}))
			if err != nil {
				t.Fatal(err)
			}
			got, err := a.InAlarm(traffic, 4, 0)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("error %v, states (-want +got):\n%s", err, diff)
			}
		})
	}
}

// metrics returns an alarm on an expression over the statistics, each named s0, s1 and so on.
func metrics(expression string, statistics ...string) map[string]any {
	list := []any{map[string]any{"Id": "e", "Expression": expression}}
	for i, statistic := range statistics {
		list = append(list, map[string]any{"Id": fmt.Sprintf("s%d", i), "ReturnData": false, "MetricStat": map[string]any{
			"Stat": statistic, "Period": int64(60), "Metric": map[string]any{"Namespace": "N", "MetricName": statistic},
		}})
	}
	return alarm(map[string]any{
		"MetricName": nil, "Namespace": nil, "Statistic": nil, "Period": nil, "Metrics": list, "EvaluationPeriods": int64(1),
	})
}

func TestExpressions(t *testing.T) {
	t.Parallel()
	traffic := func(metric alarms.Metric, _ int) []alarms.Sample {
		if metric.Name == "SampleCount" {
			return nil
		}
		return []alarms.Sample{{Value: 30, Count: 3}, {Value: 10, Count: 5}, {Value: 20, Count: 2}}
	}
	for _, test := range []struct {
		expression string
		statistics []string
		want       bool // whether the value is above zero
	}{
		{"s0 - 179", []string{"Sum"}, true},
		{"s0 - 180", []string{"Sum"}, false},
		{"s0 - 17.9", []string{"Average"}, true},
		{"(s0 >= 10) - (s0 > 10)", []string{"Minimum"}, true},
		{"s0 - 29", []string{"Maximum"}, true},
		{"10.1 - s0", []string{"p50"}, true},
		{"s0 - 10", []string{"p51"}, true},
		{"(s0 <= 70) - (s0 < 70)", []string{"PR(:20)"}, true},
		{"(s0 <= 50) - (s0 < 50)", []string{"PR(10:)"}, true},
		{"(s0 <= 20) - (s0 < 20)", []string{"PR(10:20)"}, true}, // the lower bound is exclusive
		{"s0 > 5 || s0 < 3 && s0 < 2", []string{"Sum"}, true},
		{"s0 + 1", []string{"SampleCount"}, false}, // missing
		{"FILL(s0, 0) + 1", []string{"SampleCount"}, true},
		{"TIME_SERIES(0) + s0 + 1", []string{"SampleCount"}, true},
		{"TIME_SERIES(1) > s0", []string{"SampleCount"}, true},
		{"SUM(FILL(METRICS(), 0)) - 359", []string{"Sum", "SampleCount", "Sum"}, true},
		{"SUM(METRICS()) - 359", []string{"Sum", "SampleCount", "Sum"}, true},
		{"s0 / 0", []string{"Sum"}, false},                      // missing
		{"1 - s0 / s1", []string{"Sum", "SampleCount"}, false},  // missing
		{"s0 + s1 - 179", []string{"Sum", "SampleCount"}, true}, // one missing value is 0
		{"s1 < s0", []string{"Sum", "SampleCount"}, true},       // as above
		{"s1 > 5 || s0 > 5", []string{"Sum", "SampleCount"}, true},
		{"s0 + s1 + 1", []string{"SampleCount", "SampleCount"}, false},           // all values are missing
		{"1 - IF(s0, s1, 1)", []string{"Sum", "SampleCount"}, true},              // 0
		{"IF(s0 < 0, 1, s1) + 1", []string{"Sum", "SampleCount"}, false},         // missing
		{"IF((100 - s0) * s1 > 0, 1, 0)", []string{"SampleCount", "Sum"}, false}, // 0 of s1
		{"IF(s0 > 1, 1, 0)", []string{"Sum"}, true},
		{"IF(s0 > 1, 0, 1)", []string{"Sum"}, false},
		{"IF(s0 > 1, 1, 1)", []string{"SampleCount"}, false},
	} {
		t.Run(test.expression, func(t *testing.T) {
			t.Parallel()
			a, err := alarms.Parse(metrics(test.expression, test.statistics...))
			if err != nil {
				t.Fatal(err)
			}
			got, err := a.InAlarm(traffic, 1, 0)
			if diff := cmp.Diff([]bool{test.want}, got); diff != "" || err != nil {
				t.Errorf("error %v, states (-want +got):\n%s", err, diff)
			}
		})
	}
}

// The value of an alarm is that of the query with ReturnData, wherever it is, and not that of the last expression.
func TestReturnData(t *testing.T) {
	t.Parallel()
	for returned, want := range map[string]bool{"zero": false, "two": true, "s0": true} {
		t.Run(returned, func(t *testing.T) {
			t.Parallel()
			properties := metrics("0", "Sum")
			list := []any{
				map[string]any{"Id": "one", "Expression": "s0 / s0"},
				map[string]any{"Id": "two", "Expression": "one + one"},
				properties["Metrics"].([]any)[1],
				map[string]any{"Id": "zero", "Expression": "s0 - s0"},
			}
			for _, q := range list {
				query := q.(map[string]any)
				query["ReturnData"] = query["Id"] == returned
			}
			properties["Metrics"] = list
			a, err := alarms.Parse(properties)
			if err != nil {
				t.Fatal(err)
			}
			got, err := a.InAlarm(minutes("X"), 1, 0)
			if diff := cmp.Diff([]bool{want}, got); diff != "" || err != nil {
				t.Errorf("error %v, states (-want +got):\n%s", err, diff)
			}
		})
	}
}

// The window of a period of several minutes slides by the minute.
func TestPeriod(t *testing.T) {
	t.Parallel()
	a, err := alarms.Parse(alarm(map[string]any{"Period": int64(180), "EvaluationPeriods": int64(1), "Threshold": int64(1)}))
	if err != nil {
		t.Fatal(err)
	}
	got, err := a.InAlarm(minutes("0X0X000"), 7, 0)
	if diff := cmp.Diff([]bool{false, false, false, true, false, false, false}, got); diff != "" || err != nil {
		t.Errorf("error %v, states (-want +got):\n%s", err, diff)
	}
}

func TestParse_Errors(t *testing.T) {
	t.Parallel()
	for want, properties := range map[string]map[string]any{
		"TreatMissingData: want breaching or notBreaching": alarm(map[string]any{"TreatMissingData": "missing"}),
		`ComparisonOperator: "Outside" is not supported`:   alarm(map[string]any{"ComparisonOperator": "Outside"}),
		`the statistic "PR(1.2.3:)": want numbers`:         alarm(map[string]any{"Statistic": "PR(1.2.3:)"}),
		`the statistic "PR(:a)": want numbers`:             alarm(map[string]any{"Statistic": "PR(:a)"}),
		`the statistic "tm90" is not supported`:            alarm(map[string]any{"Statistic": "tm90"}),
		"Period: want a multiple of 60, got 10":            alarm(map[string]any{"Period": int64(10)}),
		"Threshold: ":                                      alarm(map[string]any{"Threshold": nil}),
		"Metrics.0.Expression: parse":                      metrics("1 +", "Sum"),
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			if _, err := alarms.Parse(properties); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q in it", err, want)
			}
		})
	}
	for want, expression := range map[string]string{
		"there is no metric or expression m1":      "m1 + 1",
		"RATE with 1 arguments is not supported":   "RATE(s0)",
		"TIME_SERIES: want a number":               "TIME_SERIES(s0)",
		"the operator % is not supported":          "s0 % 2",
		"the expression e: want one time series":   "METRICS()",
		"*ast.StarExpr is not supported":           "*s0",
		"IF: there is no metric or expression m1 ": "IF(m1, 1, 0)",
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			a, err := alarms.Parse(metrics(expression, "Sum", "Sum"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := a.InAlarm(minutes("0"), 1, 0); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q in it", err, want)
			}
		})
	}
}
