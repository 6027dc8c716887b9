package release

import (
	"fmt"
	"strings"

	"github.com/userrequestapi/userdata/deploy/aws/price"
	"github.com/userrequestapi/userdata/deploy/template"
)

// printFixed prints what the stage costs each month even without requests, and what the change adds. before is the
// template of the stack, nil for none.
func (s *session) printFixed(before, after *template.Rendered) error {
	var was template.Billed
	if before != nil {
		var err error
		if was, err = before.Billed(); err != nil {
			return fmt.Errorf("compute the fixed costs: %w", err)
		}
	}
	is, err := after.Billed()
	if err != nil {
		return fmt.Errorf("compute the fixed costs: %w", err)
	}
	s.Printer.Notef("%s", describeFixed(s.Account.Region, was, is))
	return nil
}

// describeFixed describes the fixed costs of a month in a Region, and their change.
func describeFixed(region string, before, after template.Billed) string {
	prices, exact := price.In(region)
	var total, change float64
	var parts []string
	for _, part := range []struct {
		name          string
		before, after int
		each          float64
	}{
		{"metrics in alarms", before.AlarmMetrics, after.AlarmMetrics, prices.AlarmMonth},
		{"composite alarms", before.CompositeAlarms, after.CompositeAlarms, prices.CompositeAlarmMonth},
		{"dashboards", before.Dashboards, after.Dashboards, prices.DashboardMonth},
		{"published metrics at most", before.Metrics, after.Metrics, prices.MetricMonth},
		{"KMS keys", before.Keys, after.Keys, prices.KeyMonth},
	} {
		total += float64(part.after) * part.each
		change += float64(part.after-part.before) * part.each
		switch {
		case part.before == part.after && part.after == 0:
		case part.before == part.after:
			parts = append(parts, fmt.Sprintf("%s %d", part.name, part.after))
		default:
			parts = append(parts, fmt.Sprintf("%s %d (%+d)", part.name, part.after, part.after-part.before))
		}
	}
	description := fmt.Sprintf("fixed costs: %.2f US dollars a month, %+.2f by this change", total, change)
	if len(parts) > 0 {
		description += ": " + strings.Join(parts, ", ")
	}
	description += "\nlist prices, compared in " + price.Compared + ", without free tiers; requests and data cost extra"
	if !exact {
		description += ", and " + region + " may differ from us-east-1"
	}
	return description
}
