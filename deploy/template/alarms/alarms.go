// Package alarms evaluates CloudWatch alarms over made-up metrics, minute by minute, by the rules of CloudWatch. A test
// of a template can prove with it that an alarm goes off and recovers, at any rate of requests.
//
// The rules are those of the CloudWatch User Guide:
//   - https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
//   - https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
//   - https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/percentiles-with-low-samples.html
//   - https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
//   - https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html
package alarms

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"slices"
	"strings"

	"github.com/userrequestapi/userdata/deploy/cfn"
)

// Metric identifies a CloudWatch metric.
type Metric struct {
	Namespace  string
	Name       string
	Dimensions map[string]string
}

// Sample is a value that a metric has Count times in a minute.
type Sample struct {
	Value float64
	Count int
}

// Traffic returns the samples of a metric in a minute; none if the metric has no data.
type Traffic func(metric Metric, minute int) []Sample

// Alarm is a metric alarm (AWS::CloudWatch::Alarm).
type Alarm struct {
	metrics           []metricQuery
	expressions       []expressionQuery // in the order of evaluation
	returned          string            // the id of the query whose value is compared with the threshold
	evaluationPeriods int
	datapointsToAlarm int
	period            int // minutes
	threshold         float64
	breaches          func(value, threshold float64) bool
	missingBreaches   bool
	ignoresFewSamples bool
	ignoresMissing    bool
}

type metricQuery struct {
	id        string // "" if the alarm has no Metrics
	metric    Metric
	statistic statistic
}

// expressionQuery is a metric math expression.
type expressionQuery struct {
	id         string
	expression ast.Expr
}

// Parse returns the alarm with the given properties, in which all intrinsic functions are evaluated. TreatMissingData
// must be breaching or notBreaching: with the other values, the state also depends on how long data is missing.
//
// An alarm on metrics of DynamoDB ignores TreatMissingData, and keeps its state while data is missing, as the reference
// of PutMetricAlarm says. The User Guide says that TreatMissingData takes precedence.
func Parse(properties map[string]any) (*Alarm, error) {
	p := reader{properties: properties}
	a := &Alarm{
		evaluationPeriods: int(p.number("EvaluationPeriods")),
		threshold:         p.number("Threshold"),
		ignoresFewSamples: cfn.Text(properties, "EvaluateLowSampleCountPercentile") == "ignore",
	}
	a.datapointsToAlarm = a.evaluationPeriods
	if properties["DatapointsToAlarm"] != nil {
		a.datapointsToAlarm = int(p.number("DatapointsToAlarm"))
	}
	switch operator := cfn.Text(properties, "ComparisonOperator"); operator {
	case "GreaterThanThreshold":
		a.breaches = func(value, threshold float64) bool { return value > threshold }
	case "GreaterThanOrEqualToThreshold":
		a.breaches = func(value, threshold float64) bool { return value >= threshold }
	case "LessThanThreshold":
		a.breaches = func(value, threshold float64) bool { return value < threshold }
	case "LessThanOrEqualToThreshold":
		a.breaches = func(value, threshold float64) bool { return value <= threshold }
	default:
		p.failf("ComparisonOperator: %q is not supported", operator)
	}
	switch missing := cfn.Text(properties, "TreatMissingData"); missing {
	case "breaching", "notBreaching":
		a.missingBreaches = missing == "breaching"
	default:
		p.failf("TreatMissingData: want breaching or notBreaching, got %q", missing)
	}
	p.readQueries(a)
	a.ignoresMissing = slices.ContainsFunc(a.metrics, func(q metricQuery) bool {
		return q.metric.Namespace == "AWS/DynamoDB"
	})
	return a, errors.Join(p.errs...)
}

// reader collects the errors in the properties of an alarm.
type reader struct {
	properties map[string]any
	errs       []error
}

func (p *reader) failf(format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf(format, args...))
}

func (p *reader) number(key string) float64 {
	n, err := cfn.ParseNumber(p.properties[key])
	if err != nil {
		p.failf("%s: %w", key, err)
	}
	return n
}

// readQueries sets the queries of an alarm, and their period.
func (p *reader) readQueries(a *Alarm) {
	periods := map[int]bool{}
	addMetric := func(path, id string, described, stat, period any) {
		q := metricQuery{id: id, metric: metricOf(described)}
		var err error
		if q.statistic, err = parseStatistic(cfn.Text(stat)); err != nil {
			p.failf("%s: %w", path, err)
		}
		seconds, err := cfn.ParseNumber(period)
		if a.period = int(seconds) / 60; err != nil || a.period < 1 || seconds != float64(a.period*60) {
			p.failf("%s: Period: want a multiple of 60, got %v", path, period)
		}
		periods[a.period] = true
		a.metrics = append(a.metrics, q)
	}
	list, _ := p.properties["Metrics"].([]any)
	if len(list) == 0 {
		stat := p.properties["Statistic"]
		if stat == nil {
			stat = p.properties["ExtendedStatistic"]
		}
		addMetric("MetricName", "", p.properties, stat, p.properties["Period"])
	}
	returned := 0
	var last []expressionQuery // the returned one, which may refer to all others
	for i, element := range list {
		path, id := fmt.Sprintf("Metrics.%d", i), cfn.Text(element, "Id")
		isReturned := cfn.Text(element, "ReturnData") != "false"
		if isReturned {
			returned++
			a.returned = id
		}
		text := cfn.Text(element, "Expression")
		if text == "" {
			stat := cfn.At(element, "MetricStat")
			addMetric(path, id, cfn.At(stat, "Metric"), cfn.At(stat, "Stat"), cfn.At(stat, "Period"))
			continue
		}
		expression, err := parser.ParseExpr(text)
		if err != nil {
			p.failf("%s.Expression: parse %q: %w", path, text, err)
		}
		if q := (expressionQuery{id, expression}); isReturned {
			last = append(last, q)
		} else {
			a.expressions = append(a.expressions, q)
		}
	}
	a.expressions = append(a.expressions, last...)
	if len(list) > 0 && returned != 1 {
		p.failf("Metrics: want one element without ReturnData: false, got %d", returned)
	}
	if len(periods) != 1 {
		p.failf("Period: want the same for all metrics, got %d", len(periods))
	}
}

func metricOf(o any) Metric {
	m := Metric{Namespace: cfn.Text(o, "Namespace"), Name: cfn.Text(o, "MetricName"), Dimensions: map[string]string{}}
	dimensions, _ := cfn.At(o, "Dimensions").([]any)
	for _, dimension := range dimensions {
		m.Dimensions[cfn.Text(dimension, "Name")] = cfn.Text(dimension, "Value")
	}
	return m
}

// Metrics returns the metrics of the alarm.
func (a *Alarm) Metrics() []Metric {
	var metrics []Metric
	for _, q := range a.metrics {
		metrics = append(metrics, q.metric)
	}
	return metrics
}

// InAlarm returns whether the alarm is in the state ALARM at the end of each of the first minutes. The alarm begins in
// the state OK, and is evaluated every minute over a sliding window.
//
// CloudWatch does not document how many data points it retrieves in addition to EvaluationPeriods, in case some are
// missing: extra is that number.
func (a *Alarm) InAlarm(traffic Traffic, minutes, extra int) ([]bool, error) {
	points := make([]datapoint, minutes) // by the last minute of the period
	for minute := range points {
		var err error
		if points[minute], err = a.datapoint(traffic, minute); err != nil {
			return nil, err
		}
	}
	states := make([]bool, minutes)
	inAlarm := false
	for minute := range states {
		point := points[minute]
		if keep := a.ignoresFewSamples && point.fewSamples || a.ignoresMissing && point.missing; !keep {
			inAlarm = a.evaluate(points[:minute+1], extra)
		}
		states[minute] = inAlarm
	}
	return states, nil
}

// datapoint is the value of an alarm's metric or expression in a period.
type datapoint struct {
	number
	fewSamples bool // too few for the percentile
}

// datapoint returns the data point of the period that ends with the minute.
func (a *Alarm) datapoint(traffic Traffic, minute int) (datapoint, error) {
	d := datapoint{}
	var values variables
	for _, q := range a.metrics {
		var samples []Sample
		for m := max(0, minute-a.period+1); m <= minute; m++ {
			samples = append(samples, traffic(q.metric, m)...)
		}
		slices.SortFunc(samples, func(x, y Sample) int { return cmp.Compare(x.Value, y.Value) })
		d.fewSamples = d.fewSamples || count(samples) < q.statistic.least
		values = append(values, variable{id: q.id, number: q.statistic.of(samples)})
	}
	for _, q := range a.expressions {
		value, err := evaluate(q.expression, values)
		if err != nil {
			return d, fmt.Errorf("the expression %s: %w", q.id, err)
		}
		values = append(values, variable{id: q.id, number: value, computed: true})
	}
	d.number, _ = values.find(a.returned) // Parse has checked that it exists
	return d, nil
}

// evaluate reports whether the data points, of which the last one is the newest, put the alarm into ALARM. If enough
// data points exist in the evaluation range, the newest of them decide. Otherwise TreatMissingData fills the gaps.
func (a *Alarm) evaluate(points []datapoint, extra int) bool {
	evaluated, breaching := 0, 0
	for i := len(points) - 1; i >= 0; i -= a.period {
		if (len(points)-1-i)/a.period >= a.evaluationPeriods+extra || evaluated == a.evaluationPeriods {
			break
		}
		if points[i].missing {
			continue
		}
		evaluated++
		if a.breaches(points[i].value, a.threshold) {
			breaching++
		}
	}
	if a.missingBreaches {
		breaching += a.evaluationPeriods - evaluated
	}
	return breaching >= a.datapointsToAlarm
}

func (m Metric) String() string {
	var words []string
	for name, value := range m.Dimensions {
		words = append(words, name+"="+value)
	}
	slices.Sort(words)
	return m.Namespace + " " + m.Name + " " + strings.Join(words, " ")
}
