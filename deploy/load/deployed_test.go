//nolint:paralleltest // a test sets the environment variables of the AWS SDK
package load_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/userrequestapi/userdata/deploy/aws/changeset/changesettest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/load"
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
	"github.com/userrequestapi/userdata/deploy/release/progress"
	"github.com/userrequestapi/userdata/deploy/release/stage"
	"github.com/userrequestapi/userdata/deploy/template"
)

// account is an AWS account with the stage prod of the service, which requires signed requests: STS, CloudFormation
// and CloudWatch Logs.
type account struct {
	cloudFormation *changesettest.CloudFormation

	mu      sync.Mutex
	polls   int
	queries []map[string]any
}

func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	operation, isLogs := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "Logs_20140328.")
	if !isLogs {
		if err := r.ParseForm(); err == nil && r.PostForm.Get("Action") == "GetCallerIdentity" {
			_, _ = io.WriteString(w, `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">`+
				`<GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/ops</Arn><UserId>AIDA</UserId>`+
				`<Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`)
			return
		}
		a.cloudFormation.ServeHTTP(w, r)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if operation == "StartQuery" {
		var query map[string]any
		_ = json.NewDecoder(r.Body).Decode(&query)
		a.queries = append(a.queries, query)
		_, _ = io.WriteString(w, `{"queryId": "q"}`)
		return
	}
	a.polls++
	if a.polls == 1 {
		_, _ = io.WriteString(w, `{"status": "Running", "results": []}`)
		return
	}
	_, _ = io.WriteString(w, `{"status": "Complete", "results": [
		[{"field": "@log", "value": "123456789012:/aws/lambda/UserRequestAPI-get"}, {"field": "cold", "value": "0"},
		 {"field": "calls", "value": "9"}, {"field": "p50", "value": "2.5"}, {"field": "p90", "value": "3"},
		 {"field": "p99", "value": "4"}, {"field": "longest", "value": "5"}],
		[{"field": "@log", "value": "123456789012:/aws/lambda/UserRequestAPI-get"}, {"field": "cold", "value": "1"},
		 {"field": "calls", "value": "1"}, {"field": "p50", "value": "31"}, {"field": "p90", "value": "31"},
		 {"field": "p99", "value": "31"}, {"field": "longest", "value": "31"}]]}`)
}

// deployedTemplate returns the template of the deployed service, and the root of a workspace with its documents.
func deployedTemplate(t *testing.T) (rendered *template.Rendered, root string) {
	t.Helper()
	root = t.TempDir()
	for _, name := range []string{"template.yaml", "openapi.yaml", "stages/prod.yaml"} {
		content, err := os.ReadFile(filepath.Join(service, "deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		testenv.WriteFile(t, filepath.Join(root, "deploy", name), string(content))
	}
	source, err := template.Load(os.DirFS(filepath.Join(root, "deploy")))
	if err != nil {
		t.Fatal(err)
	}
	code := map[string]string{}
	for _, route := range source.Contract().Routes() {
		if route.Function != "" {
			code[route.Function] = "package.zip"
		}
	}
	rendered, err = source.Render(template.Options{Code: code, Parameters: map[string]string{"ArtifactBucket": "bucket"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := rendered.SetMetadata(stage.Record{Number: 1, Key: "k", Parameters: rendered.Parameters()}); err != nil {
		t.Fatal(err)
	}
	return rendered, root
}

func TestLoad_Deployed(t *testing.T) {
	rendered, root := deployedTemplate(t)
	a := &account{cloudFormation: changesettest.New(t)}
	a.cloudFormation.Put("UserRequestAPI", "UPDATE_COMPLETE", rendered.JSON())
	changesettest.Serve(t, a)
	var signed atomic.Int64
	s, target := serve(t, document, func(r *http.Request, _ int) (int, string) {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ") {
			return http.StatusForbidden, "MissingAuthenticationToken"
		}
		signed.Add(1)
		return 0, ""
	})

	run := func(change func(*load.Settings)) (string, error) {
		var out bytes.Buffer
		settings := load.Settings{
			Settings: stage.Settings{
				Root: root, Stage: "prod", Poll: time.Millisecond, Printer: progress.New(&out, progress.Options{}),
			},
			Options:   load.Options{Rate: 20, Duration: 200 * time.Millisecond},
			InvokeURL: target.URL, QueryDelay: time.Millisecond,
		}
		change(&settings)
		err := load.Load(t.Context(), settings)
		return out.String(), err
	}
	refused := []struct {
		name   string
		change func(*load.Settings)
		want   string
	}{
		{"no terminal", func(*load.Settings) {}, "YES=1 RATE=20 DURATION=200ms"},
		{
			"not accepted",
			func(s *load.Settings) {
				s.Ask = func(context.Context, string) (string, error) { return "", nil }
			}, "nothing was sent",
		},
	}
	for _, tt := range refused {
		t.Run(tt.name, func(t *testing.T) {
			out, err := run(tt.change)
			if coded, ok := errors.AsType[*exitcode.Error](err); !ok || coded.Code != exitcode.Refused ||
				!strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want it to contain %q", err, tt.want)
			}
			if !strings.Contains(out, "The estimated bill of this load is $0.00") || signed.Load() > 0 {
				t.Errorf("output = %s\nwith %d requests, want the bill and none", out, signed.Load())
			}
		})
	}
	t.Run("accepted", func(t *testing.T) {
		out, err := run(func(s *load.Settings) { s.Yes = true })
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"Sending 20 requests a second",
			"UserRequestAPI-get            9    warm       2.5       3.0       4.0       5.0",
			"UserRequestAPI-get            1    cold      31.0      31.0      31.0      31.0",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("want %q in the output, got\n%s", want, out)
			}
		}
		if n := s.left(); n > 0 || signed.Load() == 0 {
			t.Errorf("%d items left after %d requests, want none and some", n, signed.Load())
		}
	})
	query := a.queries[0]
	groups := []any{
		"/aws/lambda/UserRequestAPI-delete", "/aws/lambda/UserRequestAPI-get", "/aws/lambda/UserRequestAPI-post",
		"/aws/lambda/UserRequestAPI-put",
	}
	byName := cmpopts.SortSlices(func(a, b any) bool { return a.(string) < b.(string) })
	if diff := cmp.Diff(groups, query["logGroupNames"], byName); diff != "" {
		t.Errorf("log groups of the query (-want +got):\n%s", diff)
	}
	if text, _ := query["queryString"].(string); !strings.Contains(text, "pct(ms, 99)") {
		t.Errorf("query = %q, want the saved one", text)
	}
}

func TestEstimate(t *testing.T) {
	t.Parallel()
	rendered, _ := deployedTemplate(t)
	resources, err := rendered.Resolve(template.PseudoParameters{})
	if err != nil {
		t.Fatal(err)
	}
	// 2,600 requests: 1,000 iterations, 800 of them with an item.
	got := load.Estimate(resources, "us-east-1", load.Options{Rate: 26, Duration: 100 * time.Second})
	api, memory := resources.API(), float64(resources.Functions()[0].MemoryMB)/1024
	traces := float64(api.Sampling.ReservoirSize) * 100
	traces += (2600 - traces) * api.Sampling.FixedRate
	want := map[string]float64{
		"API Gateway":     2600 * 3.5 / 1e6,
		"Lambda":          2600*0.2/1e6 + 2600*0.025*memory*0.0000133334,
		"DynamoDB":        1600*0.625/1e6 + (1600+200*4)*0.125/1e6,
		"X-Ray":           traces * 5 / 1e6,
		"CloudWatch Logs": 2600 * 3000 * 0.505 / (1 << 30),
	}
	lines, total := map[string]float64{}, 0.0
	for _, line := range got.Lines {
		lines[line.Service] = line.USD
		total += line.USD
	}
	if diff := cmp.Diff(want, lines, cmpopts.EquateApprox(1e-9, 0)); diff != "" {
		t.Errorf("bill (-want +got):\n%s", diff)
	}
	if math.Abs(got.Total-total) > 1e-12 {
		t.Errorf("total = %v, want the sum %v", got.Total, total)
	}
	if strings.Contains(got.Note, "us-east-1") {
		t.Errorf("note = %q, want none about the Region", got.Note)
	}
	elsewhere := load.Estimate(resources, "eu-central-1", load.Options{Rate: 1, Duration: time.Second})
	if !strings.Contains(elsewhere.Note, "us-east-1") || !strings.Contains(elsewhere.Note, "eu-central-1") {
		t.Errorf("note = %q, want both Regions", elsewhere.Note)
	}
}

func TestFromEnvironment(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		variables map[string]string
		want      load.Settings
		err       string
	}{
		{
			"defaults", nil,
			load.Settings{
				Settings: stage.Settings{Root: "root", Stage: "prod"},
				Options:  load.Options{Rate: 50, Duration: 30 * time.Second},
				Local:    true, Console: "http://127.0.0.1:3000/", DataDir: filepath.Join("root", ".local"),
			},
			"",
		},
		{
			"all",
			map[string]string{
				"STAGE": "dev", "RATE": "300", "DURATION": "10m", "PORT": "3001", "DATA_DIR": "d", "INVOKE_URL": "http://u",
				"TOKEN": "t", "YES": "1",
			},
			load.Settings{
				Settings: stage.Settings{Root: "root", Stage: "dev"},
				Options:  load.Options{Rate: 300, Duration: 10 * time.Minute},
				Console:  "http://127.0.0.1:3001/", DataDir: "d", InvokeURL: "http://u", Token: "t", Yes: true,
			},
			"",
		},
		{
			"the local stack", map[string]string{"STAGE": "local"},
			load.Settings{
				Settings: stage.Settings{Root: "root", Stage: "local"},
				Options:  load.Options{Rate: 50, Duration: 30 * time.Second},
				Local:    true, Console: "http://127.0.0.1:3000/", DataDir: filepath.Join("root", ".local"),
			},
			"",
		},
		{"faults", map[string]string{"RATE": "0", "DURATION": "x"}, load.Settings{}, "RATE: want a number from 1 to 10000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := load.FromEnvironment("root", os.Stderr, func(name string) string { return tt.variables[name] })
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error = %v, want it to contain %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			ignore := []cmp.Option{
				cmpopts.IgnoreFields(stage.Settings{}, "Line", "Printer", "Ask"),
				cmpopts.IgnoreFields(load.Options{}, "Progress", "CleaningUp"),
			}
			if diff := cmp.Diff(tt.want, got, ignore...); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoad_NoLocalStack(t *testing.T) {
	t.Parallel()
	_, target := serve(t, document, nil)
	for name, tt := range map[string]struct{ console, want string }{
		"nothing":         {"http://127.0.0.1:1/", "no local stack at"},
		"another program": {target.URL + "/", "is not a local stack"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := load.Settings{Local: true, Console: tt.console}
			settings.Printer = progress.New(io.Discard, progress.Options{})
			err := load.Load(context.WithoutCancel(t.Context()), settings)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want it to contain %q", err, tt.want)
			}
		})
	}
}
