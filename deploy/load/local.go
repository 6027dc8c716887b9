package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/host/command"
	"github.com/userrequestapi/userdata/deploy/local"
	"github.com/userrequestapi/userdata/deploy/local/console"
	"github.com/userrequestapi/userdata/deploy/release/exitcode"
)

const localTimeout = 10 * time.Second

func onLocal(ctx context.Context, s Settings) error {
	overview, err := describeLocal(ctx, s.Console)
	if err != nil {
		return err
	}
	document, err := contract.Read(os.DirFS(filepath.Join(s.Root, "deploy")))
	if err != nil {
		return exitcode.With(exitcode.Settings, err)
	}
	c, err := local.Caller(overview.Authorization, s.DataDir)
	if err != nil {
		return err
	}
	return send(ctx, s, Target{URL: overview.URL, Document: document, Caller: c}, nil)
}

// describeLocal returns the overview of the local stack that serves its pages at a URL.
func describeLocal(ctx context.Context, url string) (overview console.Overview, err error) {
	ctx, cancel := context.WithTimeout(ctx, localTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"_local/api/stack", http.NoBody)
	if err != nil {
		return overview, err
	}
	response, err := http.DefaultClient.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) {
		var line command.Line
		return overview, exitcode.Errorf(exitcode.Settings, "no local stack at %s: start one with %s in another terminal, "+
			"set PORT to its port, or set STAGE to a deployed stage", url, line.Mage("run"))
	}
	if err != nil {
		return overview, fmt.Errorf("find the local stack: %w", err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&overview); err != nil || overview.URL == "" {
		return overview, exitcode.Errorf(exitcode.Settings, "the program at %s is not a local stack (status %s): "+
			"set PORT to the port of the local stack", url, response.Status)
	}
	return overview, nil
}
