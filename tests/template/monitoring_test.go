package template_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/cfn"
)

const (
	alarmType          = "AWS::CloudWatch::Alarm"
	compositeAlarmType = "AWS::CloudWatch::CompositeAlarm"
	email              = "alarms@example.org"
)

// TestAlarms checks that each alarm says what to do, and that only the composite alarm notifies.
func TestAlarms(t *testing.T) {
	t.Parallel()
	e := evaluate(t, map[string]string{"AlarmEmail": email})
	for _, id := range e.All(alarmType) {
		properties := e.Properties(id)
		for _, action := range []string{"AlarmActions", "OKActions", "InsufficientDataActions"} {
			if properties[action] != nil {
				t.Errorf("%s: got %s, want none: the composite alarm notifies", id, action)
			}
		}
		if properties["TreatMissingData"] != "notBreaching" {
			t.Errorf("%s: TreatMissingData = %v, want notBreaching: a stage without requests has no data",
				id, properties["TreatMissingData"])
		}
		if description := cfn.Text(properties, "AlarmDescription"); !strings.Contains(description, "Runbook: https://") {
			t.Errorf("%s: description = %q, want the address of a runbook in it", id, description)
		}
	}
	for _, id := range e.All(compositeAlarmType) {
		for _, action := range []string{"AlarmActions", "OKActions"} {
			topics, _ := e.Property(id, action).([]any)
			if len(topics) != 1 || !strings.HasPrefix(fmt.Sprint(topics[0]), "${") {
				t.Errorf("%s: %s = %v with AlarmEmail, want the topic", id, action, topics)
			}
		}
	}
}

// TestAlarmTopic checks that CloudWatch may use the key of an alarms' topic, for that topic only.
func TestAlarmTopic(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{"prod", "dev"} {
		e := evaluate(t, map[string]string{"StageName": stage, "AlarmEmail": email})
		for _, id := range e.All("AWS::SNS::Topic") {
			topic := e.Properties(id)
			key := strings.Trim(cfn.Text(topic, "KmsMasterKeyId"), "${}")
			statements, _ := cfn.At(e.Properties(key), "KeyPolicy", "Statement").([]any)
			var got []any
			for _, statement := range statements {
				if cfn.Text(statement, "Principal", "Service") == "cloudwatch.amazonaws.com" {
					got = append(got, cfn.At(statement, "Condition", "StringEquals", "kms:EncryptionContext:aws:sns:topicArn"))
				}
			}
			want := []any{"arn:aws:sns:" + region + ":" + account + ":" + cfn.Text(topic, "TopicName")}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s of %s: topics for which CloudWatch may use the key %s (-want +got):\n%s", id, stage, key, diff)
			}
		}
	}
}

// TestConsoles checks that links to a console are those of the partition ("AWS Management Console endpoints").
func TestConsoles(t *testing.T) {
	t.Parallel()
	for partition, host := range map[string]string{
		"aws": "console.aws.amazon.com", "aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com",
		"aws-eusc": "console.amazonaws-eusc.eu",
	} {
		t.Run(partition, func(t *testing.T) {
			t.Parallel()
			e := evaluate(t, map[string]string{"AWS::Partition": partition, "AWS::Region": "there-1"})
			for id, output := range cfn.Mapping(e.Document, "Outputs") {
				path := "Outputs." + id + ".Value"
				link := cfn.Text(e.Value(path, cfn.At(output, "Value")))
				if prefix := "https://there-1." + host + "/"; strings.Contains(link, "/home?") && !strings.HasPrefix(link, prefix) {
					t.Errorf("%s = %s, want it to begin with %s", path, link, prefix)
				}
			}
		})
	}
}

// TestDashboard checks that each dashboard is JSON, that no widgets overlap, and that it shows each alarm.
func TestDashboard(t *testing.T) {
	t.Parallel()
	for _, parameters := range []map[string]string{
		nil,
		{"ErrorRateAlarm": "0", "LatencyAlarmMilliseconds": "1", "StageName": "s"},
		{"ErrorRateAlarm": "1", "LatencyAlarmMilliseconds": "29000", "StageName": strings.Repeat("s", 17)},
		{"ErrorRateAlarm": "0.0001", "LatencyAlarmMilliseconds": "999.5", "ExistingTableName": "a.b-c_d", "ServiceName": "-_"},
	} {
		t.Run(fmt.Sprint(parameters), func(t *testing.T) {
			t.Parallel()
			e := evaluate(t, parameters)
			want := map[string]bool{}
			for _, id := range e.All(alarmType) {
				want["${"+id+".Arn}"] = true
			}
			for _, id := range e.All("AWS::CloudWatch::Dashboard") {
				shown := wantWidgets(t, cfn.Text(e.Property(id, "DashboardBody")))
				if diff := cmp.Diff(want, shown); diff != "" {
					t.Errorf("%s: alarms (-want +shown):\n%s", id, diff)
				}
			}
		})
	}
}

// wantWidgets checks the widgets of a dashboard, and returns the alarms that they show.
func wantWidgets(t *testing.T, encoded string) (shown map[string]bool) {
	t.Helper()
	var body struct {
		Widgets []struct {
			X, Y, Width, Height int
			Properties          struct {
				Title  string
				Alarms []string
			}
		}
	}
	if err := json.Unmarshal([]byte(encoded), &body); err != nil {
		t.Fatalf("dashboard = %s, want JSON: %v", encoded, err)
	}
	shown = map[string]bool{}
	taken := map[[2]int]string{}
	for _, w := range body.Widgets {
		for _, alarm := range w.Properties.Alarms {
			shown[alarm] = true
		}
		// A column has room for 6 letters of a title at 1,280 pixels.
		if title := w.Properties.Title; !strings.Contains(title, "?") || len(title) > 6*w.Width || w.X+w.Width > 24 {
			t.Errorf("got widget %+v, want the question that it answers in 6 letters a column, and at most 24 columns", w)
		}
		for x := w.X; x < w.X+w.Width; x++ {
			for y := w.Y; y < w.Y+w.Height; y++ {
				if other, ok := taken[[2]int{x, y}]; ok {
					t.Fatalf("%q and %q overlap, want no overlap", w.Properties.Title, other)
				}
				taken[[2]int{x, y}] = w.Properties.Title
			}
		}
	}
	return shown
}
