package faults_test

import (
	"encoding/json"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/check/unreliable"
)

// TestFrozen freezes an execution environment, as Lambda does between invocations, while the database closes its idle
// connections. The next request must succeed without a delay.
func TestFrozen(t *testing.T) {
	t.Parallel()
	const rounds = 4 // in each, the function may notice the broken connection before or after it sends a request
	tests := []struct {
		name      string
		withReset bool
	}{
		{"connections are closed", false},
		{"connections are reset", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := unreliable.NewDatabase(t)
			s := startWarm(t, p, "a")
			for range rounds {
				for _, r := range requests(t, "a") {
					environment := freeze(t, s, r.function)
					testenv.Eventually(t, "idle connections", func() bool { return p.IdleConnections() > 0 })
					p.CloseConnections(t, tt.withReset)
					testenv.Eventually(t, "no connections", func() bool { return p.IdleConnections() == 0 })
					p.ResetOperations()

					res := sendThawing(t, s, r, environment)
					res.Want(t, r.status)
					var want []unreliable.Operation
					for _, name := range r.operations {
						want = append(want, unreliable.Operation{Name: name, Attempt: "1"})
					}
					if diff := cmp.Diff(want, p.Operations()); diff != "" {
						t.Errorf("%s: requests to the database (-want +got):\n%s", r.name, diff)
					}
					if line := requestLine(t, s, res); line.Retries > 1 || line.ColdStart {
						t.Errorf("%s: got log line %+v, want at most one retry and no cold start", r.name, line)
					}
					if r.name == "put" || r.name == "post" {
						wantRevision(t, s, "a", res)
					}
					if r.name == "delete" {
						wantUsers(t, s, 0)
					} else {
						wantUsers(t, s, 1)
					}
				}
			}
			wantNoFaults(t, s)
		})
	}
}

// TestFrozen_Blackholed freezes execution environments until a firewall or DynamoDB drops their connections without
// notice. Requests sent on these connections would time out.
func TestFrozen_Blackholed(t *testing.T) {
	t.Parallel()
	const idle = 5 * time.Second // idleTimeout of package userdata
	p := unreliable.NewDatabase(t)
	s := startWarm(t, p, "a")
	frozen := map[string]stacktest.Environment{}
	for _, r := range requests(t, "a") {
		if _, ok := frozen[r.function]; !ok {
			frozen[r.function] = freeze(t, s, r.function)
		}
	}
	since := time.Now()
	testenv.Eventually(t, "idle connections", func() bool { return p.IdleConnections() > 0 })
	p.BlackholeConnections()
	testenv.Eventually(t, "idle timeout", func() bool { return time.Since(since) > idle })
	for _, r := range requests(t, "a") {
		p.ResetOperations()
		var res stacktest.Response
		if environment, ok := frozen[r.function]; ok {
			delete(frozen, r.function)
			res = sendThawing(t, s, r, environment)
		} else {
			res = r.send(t, s)
		}
		res.Want(t, r.status)
		if diff := cmp.Diff(r.operations, operations(p)); diff != "" {
			t.Errorf("%s: requests to the database (-want +got):\n%s", r.name, diff)
		}
		if line := requestLine(t, s, res); line.Retries > 0 || line.ColdStart {
			t.Errorf("%s: got log line %+v, want no retry and no cold start", r.name, line)
		}
	}
	wantNoFaults(t, s)
}

// operations returns the names of the requests to the database since [unreliable.Database.ResetOperations].
func operations(p *unreliable.Database) []string {
	var names []string
	for _, o := range p.Operations() {
		names = append(names, o.Name)
	}
	return names
}

// freeze waits until the single execution environment of a function is idle, then stops it as Lambda does.
func freeze(t *testing.T, s *stacktest.TestStack, function string) stacktest.Environment {
	t.Helper()
	var environment stacktest.Environment
	testenv.Eventually(t, "one idle execution environment", func() bool {
		all := s.Environments(s.Functions[function])
		if len(all) != 1 || all[0].Busy {
			return false
		}
		environment = all[0]
		return true
	})
	if err := syscall.Kill(environment.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// Its threads can run for a moment after the signal.
	testenv.Eventually(t, "stopped process", func() bool {
		state, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(environment.PID)).Output()
		if err != nil {
			t.Fatalf("ps: %v", err)
		}
		return strings.HasPrefix(string(state), "T")
	})
	return environment
}

// sendThawing sends a request to a frozen execution environment, and thaws it when the request has arrived.
func sendThawing(t *testing.T, s *stacktest.TestStack, r request, frozen stacktest.Environment) stacktest.Response {
	t.Helper()
	response := make(chan stacktest.Response)
	go func() { response <- r.send(t, s) }()
	testenv.Eventually(t, "request", func() bool {
		all := s.Environments(s.Functions[r.function])
		return len(all) == 1 && all[0].Busy
	})
	if err := syscall.Kill(frozen.PID, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	return <-response
}

// logLine has fields of a function's log line.
type logLine struct {
	Level     string `json:"level"`
	Message   string `json:"message"`
	RequestID string `json:"requestId"`
	Status    int    `json:"status"`
	ErrorCode string `json:"errorCode"`
	Error     string `json:"error"`
	Retries   int    `json:"retries"`
	ColdStart bool   `json:"coldStart"`
}

// requestLine returns the function's log line for a request.
func requestLine(t *testing.T, s *stacktest.TestStack, res stacktest.Response) logLine {
	t.Helper()
	var found logLine
	testenv.Eventually(t, "log line of the request", func() bool {
		for _, raw := range s.Lines() {
			var line logLine
			if json.Unmarshal([]byte(raw), &line) == nil && line.Message == "request" &&
				line.RequestID == res.Header.Get("X-Amzn-Requestid") {
				found = line
				return true
			}
		}
		return false
	})
	return found
}

// wantRevision checks that the revision in the table is the ETag of the response.
func wantRevision(t *testing.T, s *stacktest.TestStack, id string, res stacktest.Response) {
	t.Helper()
	out, err := s.DynamoDB.GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName:      &s.TableName,
		Key:            map[string]types.AttributeValue{"userId": &types.AttributeValueMemberS{Value: id}},
		ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	revision, _ := out.Item["_userrequestapi_rev"].(*types.AttributeValueMemberS)
	if revision == nil || `"`+revision.Value+`"` != res.Header.Get("Etag") {
		t.Errorf("got item %v, want the revision %s", out.Item, res.Header.Get("Etag"))
	}
}

// wantUsers checks the number of users in the table.
func wantUsers(t *testing.T, s *stacktest.TestStack, want int) {
	t.Helper()
	out, err := s.DynamoDB.Scan(t.Context(), &dynamodb.ScanInput{TableName: &s.TableName, ConsistentRead: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Items) != want {
		t.Errorf("got items %v, want %d", out.Items, want)
	}
}
