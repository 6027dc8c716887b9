package load_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/load"
	"github.com/userrequestapi/userdata/deploy/local"
	"github.com/userrequestapi/userdata/deploy/template"
)

// service is the workspace whose stack the tests start.
const service = "../testdata/service"

func TestMain(m *testing.M) {
	stacktest.Main(m, stacktest.Database, stacktest.FixtureFunctions(service))
}

// The load authorizes its requests as the stage requires, has the mix of requests, and leaves nothing in the table.
func TestRun_LocalStack(t *testing.T) {
	t.Parallel()
	for _, authorization := range []string{
		template.AuthorizationNone, template.AuthorizationIAM, template.AuthorizationAPIKey, template.AuthorizationCognito,
	} {
		t.Run(authorization, func(t *testing.T) {
			t.Parallel()
			s := stacktest.Start(t, func(cfg *local.Config) {
				cfg.Root = service
				cfg.Parameters[template.AuthorizationParameter] = authorization
			})
			c, err := local.Caller(authorization, s.DataDir)
			if err != nil {
				t.Fatal(err)
			}
			target := load.Target{URL: s.URL, Document: readContract(t), Caller: c}
			got, err := load.Run(t.Context(), target, load.Options{Rate: 26, Duration: 500 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			if !got.CleanedUp || got.Latency == nil {
				t.Errorf("report = %+v, want successful requests, and everything deleted", got)
			}
			for _, f := range got.Failures { // others can occur on a slow machine, because a stack has few environments
				if f.Status == http.StatusUnauthorized || f.Status == http.StatusForbidden {
					t.Errorf("failure = %+v, want the caller authorized", f)
				}
			}
			requests := map[string]int{}
			for _, o := range got.Operations {
				requests[o.Name] = o.Requests
			}
			if lists := got.Iterations / 5; requests["GET /users"] != lists || requests["POST /users"] != got.Iterations-lists {
				t.Errorf("requests = %v in %d iterations, want a list in one of five iterations, and an item in the others",
					requests, got.Iterations)
			}
			if n := len(s.AllItems(t)); n != 0 {
				t.Errorf("the table has %d items, want none", n)
			}
		})
	}
}

func readContract(t *testing.T) *contract.Document {
	t.Helper()
	return stacktest.LoadContract(t, service).Document()
}
