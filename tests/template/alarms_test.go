package template_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/cfn"
	"github.com/userrequestapi/userdata/deploy/template/alarms"
)

// incident is traffic in which a share of the requests is bad, in the way that an alarm is about.
type incident struct {
	bad      alarms.Metric // of the bad requests
	requests func(minute int) int
	share    func(minute int) float64
}

// samples returns the samples of a metric, as API Gateway, Lambda and DynamoDB publish them. DynamoDB publishes events
// only if there are any, and the functions attempt each call three times.
func (in incident) samples(t *testing.T, metric alarms.Metric, minute int) []alarms.Sample {
	t.Helper()
	requests := in.requests(minute)
	bad := int(in.share(minute)*float64(requests) + 0.5)
	if metric.Name != in.bad.Name || !maps.Equal(metric.Dimensions, in.bad.Dimensions) {
		bad = 0
	}
	outcomes := func(good, failed float64) []alarms.Sample {
		return []alarms.Sample{{Value: good, Count: requests - bad}, {Value: failed, Count: bad}}
	}
	switch metric.Name {
	case "Count":
		return []alarms.Sample{{Value: 1, Count: requests}}
	case "Invocations":
		if in.bad.Name == "Throttles" {
			requests -= int(in.share(minute)*float64(requests) + 0.5)
		}
		return []alarms.Sample{{Value: 1, Count: requests}}
	case "5XXError", "Errors", "Throttles":
		return outcomes(0, 1)
	case "Latency":
		return outcomes(60, 5000)
	case "Duration":
		return outcomes(20, 9500)
	case "ReadThrottleEvents", "WriteThrottleEvents", "SystemErrors":
		return []alarms.Sample{{Value: 1, Count: 3 * bad}}
	default:
		t.Fatalf("the metric %s of an alarm has no samples here: add them", metric)
		return nil
	}
}

// states returns the minutes in which the alarm is in ALARM.
func (in incident) states(t *testing.T, alarm *alarms.Alarm, minutes, extra int) []bool {
	t.Helper()
	states, err := alarm.InAlarm(func(metric alarms.Metric, minute int) []alarms.Sample {
		return in.samples(t, metric, minute)
	}, minutes, extra)
	if err != nil {
		t.Fatal(err)
	}
	return states
}

// steady returns the same number of requests for each minute.
func steady(perMinute int) func(int) int { return func(int) int { return perMinute } }

// during returns a share in the minutes from begin up to end, and another one before and after.
func during(begin, end int, share, otherwise float64) func(int) float64 {
	return func(minute int) float64 {
		if minute >= begin && minute < end {
			return share
		}
		return otherwise
	}
}

// irregular returns a Poisson distributed number of requests for each of some minutes, one on average.
func irregular(minutes int) func(int) int {
	random := rand.New(rand.NewPCG(1, 0))
	counts := make([]int, minutes)
	for at := random.ExpFloat64(); at < float64(minutes); at += random.ExpFloat64() {
		counts[int(at)]++
	}
	return func(minute int) int { return counts[minute] }
}

// extras are numbers of data points that CloudWatch may retrieve in addition to EvaluationPeriods.
func extras() []int { return []int{0, 2, 5} }

// eachAlarm runs a test for each alarm of each stage, with the metric of the bad requests.
func eachAlarm(t *testing.T, test func(t *testing.T, alarm *alarms.Alarm, bad alarms.Metric)) {
	t.Helper()
	for name, file := range stageFiles(t) {
		parameters := maps.Clone(file.Parameters)
		parameters["StageName"] = name
		e := evaluate(t, parameters)
		for _, id := range e.All(alarmType) {
			alarm, err := alarms.Parse(e.Properties(id))
			if err != nil {
				t.Errorf("%s: %v", id, err)
				continue
			}
			bad := slices.DeleteFunc(alarm.Metrics(), func(metric alarms.Metric) bool {
				return slices.Contains([]string{"Count", "Invocations"}, metric.Name)
			})
			if len(bad) == 0 {
				t.Errorf("%s has no metric of failures", id)
				continue
			}
			t.Run(name+"/"+id, func(t *testing.T) {
				t.Parallel()
				test(t, alarm, bad[0])
			})
		}
	}
}

// TestAlarms_FireAndRecover checks that each alarm goes off and recovers with few requests and with many.
func TestAlarms_FireAndRecover(t *testing.T) {
	t.Parallel()
	const begin, end, minutes = 30, 60, 120
	for _, test := range []struct {
		name            string
		requests        func(int) int
		share, usual    float64
		fires, recovers int // the most minutes that it may take
	}{
		{"all of 1 request a minute", steady(1), 1, 0, 3, 5},
		{"all of about 1 request a minute", irregular(minutes), 1, 0, 15, 15},
		{"all of the limit of dev, 20 a second", steady(20 * 60), 1, 0.002, 3, 3},
		{"5 % of 1 request a second", steady(60), 0.05, 0, 3, 3},
		{"5 % of 1,000 requests a second", steady(1000 * 60), 0.05, 0.002, 3, 3},
		{"all of 1,000 requests a second", steady(1000 * 60), 1, 0.002, 3, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			eachAlarm(t, func(t *testing.T, alarm *alarms.Alarm, bad alarms.Metric) {
				t.Helper()
				for _, extra := range extras() {
					in := incident{bad, test.requests, during(begin, end, test.share, test.usual)}
					states := in.states(t, alarm, minutes, extra)
					first, last := slices.Index(states, true), lastIndex(states, true)
					if first < begin || first >= begin+test.fires {
						t.Errorf("goes off in minute %d, want %d to %d", first, begin, begin+test.fires-1)
					}
					if last >= end+test.recovers {
						t.Errorf("is in ALARM until minute %d, want at most %d", last, end+test.recovers-1)
					}
				}
			})
		})
	}
}

// lastIndex returns the index of the last element that equals wanted, or -1.
func lastIndex(elements []bool, wanted bool) int {
	for i, element := range slices.Backward(elements) {
		if element == wanted {
			return i
		}
	}
	return -1
}

// TestAlarms_NoRequests checks that an alarm recovers if the requests stop while it is in ALARM.
func TestAlarms_NoRequests(t *testing.T) {
	t.Parallel()
	eachAlarm(t, func(t *testing.T, alarm *alarms.Alarm, bad alarms.Metric) {
		t.Helper()
		for _, extra := range extras() {
			in := incident{bad, func(minute int) int {
				if minute < 10 {
					return 60
				}
				return 0
			}, during(0, 10, 1, 1)}
			states := in.states(t, alarm, 30, extra)
			if last := lastIndex(states, true); last < 9 || last > 9+3 {
				t.Errorf("is in ALARM until minute %d, want 9 to 12", last)
			}
		}
	})
}

// TestAlarms_NoMissingData checks that the expression of each alarm has a value in each minute. AWS does not document
// how many data points it retrieves if some are missing, and its pages disagree on missing data of DynamoDB.
func TestAlarms_NoMissingData(t *testing.T) {
	t.Parallel()
	e := evaluate(t, nil)
	for _, id := range e.All(alarmType) {
		properties := maps.Clone(e.Properties(id))
		properties["TreatMissingData"] = "breaching"
		alarm, err := alarms.Parse(properties)
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		states, err := alarm.InAlarm(func(alarms.Metric, int) []alarms.Sample { return nil }, 10, 0)
		if err != nil || slices.Contains(states[4:], true) { // EvaluationPeriods is 5
			t.Errorf("%s: ALARM %v, error %v, want OK without any data: compare with TIME_SERIES", id, states, err)
		}
	}
}

// TestAlarms_Quiet checks that two bad requests in five minutes set off no alarm, however the other requests are spread,
// nor does one in each minute among others, nor a small share of bad requests at any rate.
func TestAlarms_Quiet(t *testing.T) {
	t.Parallel()
	eachAlarm(t, func(t *testing.T, alarm *alarms.Alarm, bad alarms.Metric) {
		t.Helper()
		for _, extra := range extras() {
			for others := range 2 { // good requests in each minute
				for first := range 5 {
					for second := range 5 {
						failed := map[int]int{} // by minute
						failed[10+first]++
						failed[10+second]++
						requests := func(minute int) int { return others + failed[minute] }
						in := incident{bad, requests, func(minute int) float64 {
							return float64(failed[minute]) / float64(max(1, requests(minute)))
						}}
						if slices.Contains(in.states(t, alarm, 30, extra), true) {
							t.Errorf("goes off after bad requests in minutes %d and %d with %d others, want OK", first, second, others)
						}
					}
				}
			}
			// DynamoDB counts the attempts of a call, so one request is three events.
			if one := (incident{bad, steady(20), during(0, 0, 0, 0.05)}); bad.Namespace != "AWS/DynamoDB" &&
				slices.Contains(one.states(t, alarm, 30, extra), true) {
				t.Error("goes off with one bad request of 20 in each minute, want OK")
			}
			for _, perSecond := range []int{1, 20, 1000} {
				in := incident{bad, steady(60 * perSecond), during(0, 0, 0, 0.003)}
				if slices.Contains(in.states(t, alarm, 30, extra), true) {
					t.Errorf("goes off with 0.3 %% of %d requests a second, want OK", perSecond)
				}
			}
		}
	})
}

// TestAlarms_Composite checks that the composite alarm is in ALARM if any other alarm is.
func TestAlarms_Composite(t *testing.T) {
	t.Parallel()
	e := evaluate(t, nil)
	for _, id := range e.All(compositeAlarmType) {
		var want []string
		for _, other := range e.All(alarmType) {
			want = append(want, fmt.Sprintf(`ALARM("${%s}")`, other))
		}
		got := strings.Split(cfn.Text(e.Property(id, "AlarmRule")), " OR ")
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(want, got) {
			t.Errorf("%s: AlarmRule has the terms %q, want %q", id, got, want)
		}
	}
}
