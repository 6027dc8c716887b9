package rules

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/userrequestapi/userdata/deploy/cfn"
)

// metric is a CloudWatch metric of an alarm or a dashboard.
type metric struct {
	path       string
	namespace  string
	name       string
	dimensions map[string]string
	stat       string // of an alarm with Metrics, such as Sum
}

// metrics returns the metrics of an alarm.
func metrics(alarm resource) []metric {
	var found []metric
	add := func(path string, o any, stat string) {
		if cfn.At(o, "MetricName") == nil {
			return // an expression, or Metrics instead
		}
		m := metric{path: path, namespace: cfn.Text(o, "Namespace"), name: cfn.Text(o, "MetricName"),
			dimensions: map[string]string{}, stat: stat}
		for _, dimension := range list(cfn.At(o, "Dimensions")) {
			m.dimensions[cfn.Text(dimension, "Name")] = cfn.Text(dimension, "Value")
		}
		found = append(found, m)
	}
	add(alarm.path(), alarm.properties, "")
	for i, query := range list(alarm.properties["Metrics"]) {
		add(alarm.path("Metrics", strconv.Itoa(i), "MetricStat", "Metric"), cfn.At(query, "MetricStat", "Metric"),
			cfn.Text(query, "MetricStat", "Stat"))
	}
	return found
}

// dimensionSets returns the sets of dimensions with which AWS publishes a metric, each sorted and joined by spaces. It
// returns nil for an unknown metric ("Amazon API Gateway dimensions and metrics", "Types of metrics for Lambda
// functions", "DynamoDB metrics and dimensions", "Monitoring Amazon SNS topics using CloudWatch").
func dimensionSets(namespace, name string) []string {
	for _, published := range []struct {
		namespace, names string
		sets             []string
	}{
		{
			"AWS/ApiGateway", "4XXError 5XXError CacheHitCount CacheMissCount Count IntegrationLatency Latency",
			[]string{"ApiName", "ApiName Stage", "ApiName Method Resource Stage"},
		},
		{
			"AWS/Lambda", "ConcurrentExecutions Duration Errors Invocations Throttles RecursiveInvocationsDropped " +
				"PostRuntimeExtensionsDuration ProvisionedConcurrencyInvocations ProvisionedConcurrencySpilloverInvocations " +
				"ProvisionedConcurrencyUtilization ProvisionedConcurrentExecutions",
			[]string{"", "FunctionName", "FunctionName Resource", "ExecutedVersion FunctionName Resource"},
		},
		{"AWS/Lambda", "ClaimedAccountConcurrency UnreservedConcurrentExecutions", []string{""}},
		{"AWS/DynamoDB", "SuccessfulRequestLatency SystemErrors ThrottledRequests", []string{"Operation TableName"}},
		{
			"AWS/DynamoDB", "ConsumedReadCapacityUnits ConsumedWriteCapacityUnits ReadThrottleEvents WriteThrottleEvents " +
				"ReadKeyRangeThroughputThrottleEvents WriteKeyRangeThroughputThrottleEvents " +
				"ReadAccountLimitThrottleEvents WriteAccountLimitThrottleEvents " +
				"ReadMaxOnDemandThroughputThrottleEvents WriteMaxOnDemandThroughputThrottleEvents",
			[]string{"TableName", "GlobalSecondaryIndexName TableName"},
		},
		{"AWS/DynamoDB", "ConditionalCheckFailedRequests TimeToLiveDeletedItemCount TransactionConflict",
			[]string{"TableName"}},
		{"AWS/DynamoDB", "UserErrors", []string{""}},
		{"AWS/SNS", "NumberOfMessagesPublished NumberOfNotificationsDelivered NumberOfNotificationsFailed",
			[]string{"TopicName"}},
	} {
		if published.namespace == namespace && slices.Contains(strings.Fields(published.names), name) {
			return published.sets
		}
	}
	return nil
}

// checkMetric checks that AWS publishes the metric with these dimensions for a resource of the template.
func (s *checkedTemplate) checkMetric(m metric, report report) {
	sets, given := dimensionSets(m.namespace, m.name), strings.Join(slices.Sorted(maps.Keys(m.dimensions)), " ")
	switch _, ok := s.subject(m); {
	case sets == nil:
		report(m.path, "AWS publishes no metric %s in %s", m.name, m.namespace)
	case !slices.Contains(sets, given):
		report(m.path, "AWS publishes %s with the dimensions %q, got %q", m.name, sets, given)
	case given != "" && !ok && m.namespace != "AWS/SNS":
		report(m.path, "its dimensions %v match no resource of this template", m.dimensions)
	}
}

// subject returns the resource of a metric. It is empty for an existing table.
func (s *checkedTemplate) subject(m metric) (resource, bool) {
	switch m.namespace {
	case "AWS/Lambda":
		f, ok := s.function(m.dimensions["FunctionName"])
		if qualified, given := m.dimensions["Resource"]; given && ok {
			name, qualifier, _ := strings.Cut(strings.TrimPrefix(qualified, "${"+f.id+"}"), ":")
			ok = name == "" && slices.ContainsFunc(s.all(aliasType), func(alias resource) bool {
				of, isAlias := s.function(alias.properties["FunctionName"])
				return isAlias && of.id == f.id && cfn.Text(alias.properties["Name"]) == qualifier
			})
		}
		return f, ok
	case "AWS/ApiGateway":
		for _, api := range s.all(restAPIType) {
			if cfn.Text(api.properties["Name"]) == m.dimensions["ApiName"] { // not the id
				stage, given := m.dimensions["Stage"]
				return api, !given || slices.ContainsFunc(s.all(stageType), func(r resource) bool {
					return stage == "${"+r.id+"}" || stage == cfn.Text(r.properties["StageName"])
				})
			}
		}
	case "AWS/DynamoDB":
		t, ok := s.tableOfMetric(m)
		return s.resources[t.id], ok
	}
	return resource{}, false
}

// dashboardMetric checks that the metrics of each dashboard widget exist ("Dashboard body structure and syntax").
func dashboardMetric(s *checkedTemplate, report report) {
	for _, dashboard := range s.all("AWS::CloudWatch::Dashboard") {
		path := dashboard.path("DashboardBody")
		var body object
		if err := json.Unmarshal([]byte(cfn.Text(dashboard.properties["DashboardBody"])), &body); err != nil {
			report(path, "want JSON: %v", err)
			continue
		}
		for i, widget := range list(body["widgets"]) {
			var above []string
			for j, row := range list(cfn.At(widget, "properties", "metrics")) {
				words := expand(list(row), above)
				if len(words) == 0 {
					continue // an expression
				}
				above = words
				place := fmt.Sprintf("%s.widgets.%d.properties.metrics.%d", path, i, j)
				if len(words)%2 != 0 {
					report(place, "got %q, want a namespace, a metric, and names and values of dimensions", words)
					continue
				}
				m := metric{path: place, namespace: words[0], name: words[1], dimensions: map[string]string{}}
				for k := 2; k < len(words); k += 2 {
					m.dimensions[words[k]] = words[k+1]
				}
				s.checkMetric(m, report)
			}
		}
	}
}

// expand returns the words of a row of metrics. The word . repeats the word above, and ... all omitted words above.
func expand(row []any, above []string) []string {
	var words []string
	for i, element := range row {
		word, ok := element.(string)
		switch {
		case !ok: // rendering properties
		case word == "..." && len(above) >= len(row)-1:
			words = append(words, above[len(words):len(above)-countStrings(row[i+1:])]...)
		case word == "." && len(words) < len(above):
			words = append(words, above[len(words)])
		default:
			words = append(words, word)
		}
	}
	return words
}

func countStrings(row []any) int {
	n := 0
	for _, element := range row {
		if _, ok := element.(string); ok {
			n++
		}
	}
	return n
}
