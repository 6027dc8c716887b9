package local

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/userrequestapi/userdata/deploy/build"
	"github.com/userrequestapi/userdata/deploy/host/environment"
	"github.com/userrequestapi/userdata/deploy/local/debug"
)

const defaultDebugPort = 2345 // the default of editors for Delve

// Debug is [Run] with one function, such as get, under Delve. Editors attach to port DEBUG_PORT of 127.0.0.1. The
// function has one execution environment and no timeout, and nothing is reloaded.
func Debug(ctx context.Context, root, name string) error {
	cfg, err := configure(root, os.Getenv)
	if err != nil {
		return err
	}
	env := environment.New(os.Getenv)
	port := env.Number("DEBUG_PORT", defaultDebugPort, 1, 65535)
	if err := env.Err(); err != nil {
		return err
	}
	resources, err := load(cfg)
	if err != nil {
		return err
	}
	function, err := findFunction(build.FromTemplate(resources.Functions()), name)
	if err != nil {
		return err
	}
	listener, err := listen(ctx, port, "DEBUG_PORT") // the debugger would report a used port too late
	if err != nil {
		return err
	}
	if err := listener.Close(); err != nil {
		return fmt.Errorf("check the debugger's port: %w", err)
	}
	dir := filepath.Join(cfg.DataDir, "debugger")
	dlv, err := debug.Build(ctx, root, dir, say)
	if err != nil {
		return err
	}
	say("Building " + name + " for the debugger (the first time takes a minute)…")
	built, err := build.Functions(ctx, []build.Module{function}, build.Options{Root: root, Out: dir, Debug: true})
	if err != nil {
		return err
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	cfg.Bootstraps = map[string]string{function.LogicalID: built[0].Path}
	cfg.Debug, cfg.Debugger = function.LogicalID, debug.Command(dlv, address)
	cfg.Watch = false
	ctx, cancel := context.WithCancel(ctx)
	var supervisor sync.WaitGroup
	supervisor.Go(func() { debug.Supervise(ctx, address) })
	defer supervisor.Wait()
	defer cancel()
	return run(ctx, cfg, fmt.Sprintf("  Delve   %s, function %s: attach, set a breakpoint, and send a request "+
		"(docs/change.md, \"Debugging\")\n", address, name))
}

// findFunction returns the function with the name.
func findFunction(functions []build.Module, name string) (build.Module, error) {
	var names []string
	for _, f := range functions {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	slices.Sort(names)
	return build.Module{}, fmt.Errorf("unknown function %s: want one of %s", name, strings.Join(names, ", "))
}
