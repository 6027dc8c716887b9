package template

import "github.com/userrequestapi/userdata/deploy/cfn"

// Billed counts the parts of a stage that AWS bills each month, even without requests.
type Billed struct {
	AlarmMetrics    int // metrics that alarms evaluate
	CompositeAlarms int
	Dashboards      int
	Metrics         int // custom metrics, and API Gateway's by method, if all of them have data
	Keys            int // KMS keys of the stack
}

// metricsByMethod is the number of metrics that MetricsEnabled adds for each method: Count, Latency,
// IntegrationLatency, 4XXError and 5XXError.
const metricsByMethod = 5

// metricsNamespace is the variable with which functions publish metrics: one for the cold starts of each function, and
// one for each outcome of an operation.
const metricsNamespace = "POWERTOOLS_METRICS_NAMESPACE"

// outcomes is the number of outcomes of an operation: Success, Error and Fault.
const outcomes = 3

// Billed counts what AWS bills each month.
func (r *Rendered) Billed() (Billed, error) {
	e := r.symbolic()
	var b Billed
	methods, operations := countMethods(cfn.Mapping(e.Property(onlyOne(e, restAPIType), "Body"), "paths"))
	publishing := 0 // functions
	for id := range cfn.Mapping(r.document, "Resources") {
		if !e.Exists("Resources", id) {
			continue
		}
		switch cfn.Text(e.Resource(id), "Type") {
		case "AWS::CloudWatch::Alarm":
			b.AlarmMetrics += alarmMetrics(e.Properties(id))
		case "AWS::CloudWatch::CompositeAlarm":
			b.CompositeAlarms++
		case "AWS::CloudWatch::Dashboard":
			b.Dashboards++
		case "AWS::KMS::Key":
			b.Keys++
		case stageType:
			settings, _ := e.Property(id, "MethodSettings").([]any)
			for _, setting := range settings {
				if cfn.Text(setting, "MetricsEnabled") == "true" {
					b.Metrics += metricsByMethod * methods
				}
			}
		case functionType:
			if cfn.Text(e.Property(id, "Environment"), "Variables", metricsNamespace) != "" {
				publishing++
			}
		}
	}
	if publishing > 0 {
		b.Metrics += publishing + outcomes*operations
	}
	return b, e.Err()
}

// alarmMetrics returns the number of metrics of an alarm, without its expressions.
func alarmMetrics(properties object) int {
	queries, ok := properties["Metrics"].([]any)
	if !ok {
		return 1
	}
	n := 0
	for _, query := range queries {
		if cfn.At(query, "MetricStat") != nil {
			n++
		}
	}
	return n
}

// countMethods returns the number of methods in the paths of an API, and of those that invoke a function.
func countMethods(paths object) (methods, operations int) {
	for _, path := range paths {
		for _, method := range cfn.Mapping(path) {
			switch integration := cfn.Mapping(method, IntegrationKey); {
			case integration == nil:
			case cfn.Text(integration, "type") == "mock":
				methods++
			default:
				methods, operations = methods+1, operations+1
			}
		}
	}
	return methods, operations
}
