// Package debug runs functions of the local stack under Delve, in the version of the workspace's go.mod.
package debug

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/userrequestapi/userdata/deploy/host/process"
)

const tool = "github.com/go-delve/delve/cmd/dlv"

// Build builds Delve in the folder dir, if it is missing or out of date, and returns the path of its executable. root
// is the workspace. progress, if not nil, is called before the first build, which takes a minute.
func Build(ctx context.Context, root, dir string, progress func(step string)) (string, error) {
	executable, err := filepath.Abs(filepath.Join(dir, "dlv"))
	if err != nil {
		return "", fmt.Errorf("build the debugger: %w", err)
	}
	if _, err := os.Stat(executable); err != nil && progress != nil {
		progress("Building the debugger…")
	}
	var output bytes.Buffer
	cmd := exec.Command("go", "build", "-o", executable, tool)
	cmd.Dir, cmd.Stdout, cmd.Stderr = root, &output, &output
	cmd.Env = append(os.Environ(), "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	if err := process.Run(ctx, cmd); err != nil {
		return "", fmt.Errorf("build the debugger: go build %s: %w\n%s", tool, err, bytes.TrimSpace(output.Bytes()))
	}
	return executable, nil
}

// Command returns the command that runs an executable under the debugger dlv, without its last argument, the
// executable. The executable starts at once. Editors may attach to and detach from the address, such as 127.0.0.1:2345,
// with Delve's protocol or the Debug Adapter Protocol. On SIGTERM the debugger ends with its executable. The executable
// has its own process group, so SIGKILL to the debugger's group does not reach it.
func Command(dlv, address string) []string {
	return []string{
		dlv, "exec", "--headless", "--accept-multiclient", "--continue", "--api-version=2", "--listen=" + address,
		// Delve would log the address between the JSON lines of the executable.
		"--log-dest=" + os.DevNull,
	}
}
