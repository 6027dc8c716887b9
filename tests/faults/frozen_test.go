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

	"github.com/userrequestapi/userdata/deploy/local/lambda"
	"github.com/userrequestapi/userdata/tests/stacktest"
	"github.com/userrequestapi/userdata/tests/unreliable"
)

// Lambda freezes an environment between invocations, and DynamoDB closes the connections that it keeps. The request that thaws
// it must not notice.
func TestFrozen(t *testing.T) {
	t.Parallel()
	const rounds = 4 // whether the function sees first that the connection is dead, or sends on it, is open each time
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
				for _, r := range requests("a") {
					environment := freeze(t, s, r.function)
					eventually(t, "kept connections", func() bool { return p.Kept() > 0 })
					p.CutConnections(t, tt.withReset)
					eventually(t, "the end of all connections", func() bool { return p.Kept() == 0 })
					p.Forget()

					res := sendThawing(t, s, r, environment)
					res.Want(t, r.status)
					var want []unreliable.Operation
					for _, name := range r.operations {
						want = append(want, unreliable.Operation{Name: name, Attempt: "1"})
					}
					if diff := cmp.Diff(want, p.Seen()); diff != "" {
						t.Errorf("%s: requests to the database (-want +got):\n%s", r.name, diff)
					}
					if line := requestLine(t, s, res); line.Retries > 1 || line.ColdStart {
						t.Errorf("%s: log has %+v, want at most one retry in an environment that is warm", r.name, line)
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

// TestFrozen_ConnectionsForgotten is about environments that were frozen for long enough that a firewall or DynamoDB has forgotten their
// connections, without a word. Requests sent on them would time out.
func TestFrozen_ConnectionsForgotten(t *testing.T) {
	t.Parallel()
	const idle = 5 * time.Second // after which connections are not used again
	p := unreliable.NewDatabase(t)
	s := startWarm(t, p, "a")
	frozen := map[string]lambda.Environment{}
	for _, r := range requests("a") {
		if _, ok := frozen[r.function]; !ok {
			frozen[r.function] = freeze(t, s, r.function)
		}
	}
	since := time.Now()
	eventually(t, "kept connections", func() bool { return p.Kept() > 0 })
	p.ForgetConnections()
	eventually(t, "the end of the time that connections are kept for", func() bool { return time.Since(since) > idle })
	for _, r := range requests("a") {
		p.Forget()
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
			t.Errorf("%s: log has %+v, want no retry in an environment that is warm", r.name, line)
		}
	}
	wantNoFaults(t, s)
}

// operations returns the names of the requests to the database since [unreliable.Database.Forget].
func operations(p *unreliable.Database) []string {
	var names []string
	for _, o := range p.Seen() {
		names = append(names, o.Name)
	}
	return names
}

// freeze stops the one environment of a function, which must be idle, as Lambda does between invocations.
func freeze(t *testing.T, s *stacktest.Stack, function string) lambda.Environment {
	t.Helper()
	var environment lambda.Environment
	eventually(t, "one idle environment", func() bool {
		all := s.Host.Environments(s.Functions[function])
		if len(all) != 1 || all[0].Busy {
			return false
		}
		environment = all[0]
		return true
	})
	if err := syscall.Kill(environment.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// Its threads may go on for a moment after the signal was sent.
	eventually(t, "the stop", func() bool {
		state, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(environment.PID)).Output()
		if err != nil {
			t.Fatalf("ps: %v", err)
		}
		return strings.HasPrefix(string(state), "T")
	})
	return environment
}

// sendThawing sends a request to a frozen environment, and lets it go on when the request is there.
func sendThawing(t *testing.T, s *stacktest.Stack, r request, frozen lambda.Environment) stacktest.Response {
	t.Helper()
	answer := make(chan stacktest.Response)
	go func() { answer <- r.send(t, s) }()
	eventually(t, "the request", func() bool {
		all := s.Host.Environments(s.Functions[r.function])
		return len(all) == 1 && all[0].Busy
	})
	if err := syscall.Kill(frozen.PID, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	return <-answer
}

// logLine is what of a request's line in the log is of interest here.
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

// requestLine returns the line that the function has logged about the request with this answer.
func requestLine(t *testing.T, s *stacktest.Stack, res stacktest.Response) logLine {
	t.Helper()
	var found logLine
	eventually(t, "the line of the request in the log", func() bool {
		for _, text := range s.Lines() {
			var line logLine
			if json.Unmarshal([]byte(text), &line) == nil && line.Message == "request" &&
				line.RequestID == res.Header.Get("X-Amzn-Requestid") {
				found = line
				return true
			}
		}
		return false
	})
	return found
}

// wantRevision checks that the table has the very state of the user that the answer tells.
func wantRevision(t *testing.T, s *stacktest.Stack, id string, res stacktest.Response) {
	t.Helper()
	out, err := s.DynamoDB.GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName:      &s.Table,
		Key:            map[string]types.AttributeValue{"userId": &types.AttributeValueMemberS{Value: id}},
		ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	revision, _ := out.Item["_userrequestapi_rev"].(*types.AttributeValueMemberS)
	if revision == nil || `"`+revision.Value+`"` != res.Header.Get("Etag") {
		t.Errorf("the table has %v, the answer has the ETag %s", out.Item, res.Header.Get("Etag"))
	}
}

// wantUsers checks how many users the table has.
func wantUsers(t *testing.T, s *stacktest.Stack, want int) {
	t.Helper()
	out, err := s.DynamoDB.Scan(t.Context(), &dynamodb.ScanInput{TableName: &s.Table, ConsistentRead: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Items) != want {
		t.Errorf("the table has %v, want %d users", out.Items, want)
	}
}
