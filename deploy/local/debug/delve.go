// Package debug provides the debugger that the functions of the stack on this machine can run under: Delve, of the version that
// the workspace's go.mod names as a tool.
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

// Build returns the path of Delve's executable in the folder dir, which it builds where it is missing or not up to date. root is
// the workspace, whose tool it is. progress is told when it has to be built, which takes a minute; nil: nobody is.
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

// Command returns the command, but for its last argument, that runs an executable under the debugger dlv. The executable runs at
// once, without waiting for an editor: those that attach to the address, such as 127.0.0.1:2345, speak either Delve's own
// protocol or the Debug Adapter Protocol, and may come and go. On SIGTERM the debugger ends, and the executable with it; that
// has a process group of its own, which SIGKILL to the debugger's does not reach.
func Command(dlv, address string) []string {
	return []string{
		dlv, "exec", "--headless", "--accept-multiclient", "--continue", "--api-version=2", "--listen=" + address,
		// Else the line that tells the address comes between those of the executable, which are JSON.
		"--log-dest=" + os.DevNull,
	}
}
