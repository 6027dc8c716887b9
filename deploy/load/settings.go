package load

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/userrequestapi/userdata/deploy/local/datadir"
	"github.com/userrequestapi/userdata/deploy/release/stage"
)

// Settings select the target and configure the load.
type Settings struct {
	stage.Settings
	Options

	Local     bool   // whether the target is the local stack
	Console   string // the URL of the local stack's pages
	DataDir   string // the data folder of the local stack
	InvokeURL string // see [stage.Stage.InvokeURL]
	Token     string // the ID token for a user pool
	Yes       bool   // whether the costs of a load on a deployed stage are accepted

	QueryDelay time.Duration // until Logs Insights has the last log lines; 0 means 30 s
}

const (
	defaultRate     = 50
	defaultDuration = 30 * time.Second
	maxRate         = 10_000 // the default limit of an account and Region
	defaultPort     = 3000
	confirmSetting  = "YES"
)

// FromEnvironment reads the settings from environment variables: those of [stage.FromEnvironment], and RATE, DURATION,
// PORT, DATA_DIR, INVOKE_URL, TOKEN and YES. Without STAGE, or with STAGE=local, the target is the local stack.
func FromEnvironment(root string, out *os.File, getenv func(string) string) (Settings, error) {
	common, variables := stage.FromEnvironment(root, out, getenv)
	port := variables.Number("PORT", defaultPort, 1, 65535)
	s := Settings{
		Settings: common,
		Options: Options{
			Rate:     variables.Number("RATE", defaultRate, 1, maxRate),
			Duration: variables.Duration("DURATION", defaultDuration),
			Progress: common.Printer.Live,
			CleaningUp: func(items int) {
				common.Printer.Notef("deleting %d items, which can take %v", items, cleanUpTimeout)
			},
		},
		Local:     getenv("STAGE") == "" || stage.IsLocal(root, getenv("STAGE")),
		Console:   fmt.Sprintf("http://127.0.0.1:%d/", port),
		DataDir:   datadir.Of(root, getenv),
		InvokeURL: getenv("INVOKE_URL"),
		Token:     getenv("TOKEN"),
		Yes:       variables.Flag(confirmSetting, false),
	}
	return s, s.Check(variables)
}

// Load sends the load to the local stack or to a deployed stage, and prints the report.
func Load(ctx context.Context, settings Settings) error {
	if settings.Local {
		return stage.Finish(ctx, settings.Settings, onLocal(ctx, settings))
	}
	return stage.Run(ctx, settings.Settings, func(ctx context.Context, opened *stage.Stage) error {
		return onDeployed(ctx, settings, opened)
	})
}

// send sends the load and prints the report, also of a load that was interrupted. complete, which may be nil, adds to
// the report.
func send(ctx context.Context, s Settings, target Target, complete func(*Report) error) error {
	s.Printer.Stepf("Sending %d requests a second to %s for %v", s.Rate, target.URL, s.Duration)
	report, err := Run(ctx, target, s.Options)
	if report == nil || report.Requests == 0 {
		return err
	}
	if report.CleanedUp {
		s.Printer.Notef("deleted what the load has created")
	}
	if err == nil && complete != nil {
		err = complete(report)
	}
	s.Printer.Result(report, report.Text())
	if err == nil && report.Latency == nil {
		f := report.Failures[0]
		err = fmt.Errorf("no request was successful: %s: %s: %s", f.Operation, f.kind(), f.Advice)
	}
	return err
}
