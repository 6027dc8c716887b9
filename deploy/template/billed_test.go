package template_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/template"
)

func TestBilled(t *testing.T) {
	t.Parallel()
	monitored := template.Billed{AlarmMetrics: 37, CompositeAlarms: 1, Dashboards: 1}
	withKey, withMetrics := monitored, monitored
	withKey.Keys, withMetrics.Metrics = 1, 31 // 9 operations with 3 outcomes, 4 functions
	for name, test := range map[string]struct {
		parameters map[string]string
		want       template.Billed
	}{
		"default":       {nil, monitored},
		"email":         {map[string]string{"AlarmEmail": "team@example.org"}, withKey},
		"metrics":       {map[string]string{"Metrics": "true"}, withMetrics},
		"no monitoring": {map[string]string{"Monitoring": "false"}, template.Billed{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rendered, err := load(t).Render(template.Options{Parameters: test.parameters})
			if err != nil {
				t.Fatal(err)
			}
			got, err := rendered.Billed()
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Errorf("error %v, billed (-want +got):\n%s", err, diff)
			}
		})
	}
}
