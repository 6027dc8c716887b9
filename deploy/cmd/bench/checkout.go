package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/userrequestapi/userdata/deploy/build"
	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/host/process"
	"github.com/userrequestapi/userdata/deploy/scaffold"
)

const (
	poll      = 5 * time.Millisecond // between two requests
	stopGrace = 30 * time.Second
)

// checkout is a copy of the workspace for changes.
type checkout struct {
	dir      string
	function string // folder of the function that serves path
	path     string // of the API
}

// newCheckout copies the files of the git repository at root that are tracked or not ignored.
func newCheckout(ctx context.Context, root string) (_ checkout, err error) {
	root, err = filepath.Abs(root)
	if err != nil {
		return checkout{}, err
	}
	function, path, err := findRoute(root)
	if err != nil {
		return checkout{}, err
	}
	// Beside the workspace, the relative paths in its go.mod files are valid.
	dir, err := os.MkdirTemp(filepath.Dir(root), ".bench-")
	if err != nil {
		return checkout{}, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	files, err := scaffold.Files(ctx, root)
	if err != nil {
		return checkout{}, err
	}
	for _, name := range files {
		content, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return checkout{}, err
		}
		target := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return checkout{}, err
		}
		if err := os.WriteFile(target, content, 0o600); err != nil {
			return checkout{}, err
		}
	}
	return checkout{dir, function, path}, nil
}

// findRoute returns the first path of the API whose GET requires no parameter, and the folder of its function.
func findRoute(root string) (function, path string, err error) {
	document, err := contract.Read(os.DirFS(filepath.Join(root, "deploy")))
	if err != nil {
		return "", "", err
	}
	modules, err := build.Find(root)
	if err != nil {
		return "", "", err
	}
	for _, route := range document.Routes() {
		i := slices.IndexFunc(modules, func(m build.Module) bool { return m.LogicalID == route.Function })
		if i >= 0 && route.Method == http.MethodGet && !route.RequiresParameter() {
			return modules[i].Dir, route.Path, nil
		}
	}
	return "", "", fmt.Errorf("deploy/%s: want a GET of a function that requires no parameter, got none", contract.File)
}

// restart measures the time from the command to the first response of the API.
func (c checkout) restart(ctx context.Context, runs int) ([]time.Duration, error) {
	var took []time.Duration
	for range runs {
		start := time.Now()
		s, err := c.run(ctx)
		if err != nil {
			return nil, err
		}
		err = s.get(ctx, c.path)
		took = append(took, time.Since(start))
		if err := errors.Join(err, s.stop()); err != nil {
			return nil, err
		}
	}
	return took, nil
}

// save returns a function that measures the time from saving a file of a package to the first response of a function
// that contains the change.
func (c checkout) save(dir, pkg string) func(ctx context.Context, runs int) ([]time.Duration, error) {
	file := filepath.Join(c.dir, filepath.FromSlash(dir), "bench_marker.go")
	write := func(marker string) error {
		return os.WriteFile(file, fmt.Appendf(nil, "package %s\n\nfunc init() { println(%q) }\n", pkg, marker), 0o600)
	}
	return func(ctx context.Context, runs int) (took []time.Duration, err error) {
		if err := write("marker-0"); err != nil {
			return nil, err
		}
		s, err := c.run(ctx)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, s.stop(), os.Remove(file)) }()
		for i := range runs {
			marker := fmt.Sprintf("marker-%d", i+1)
			start := time.Now()
			if err := write(marker); err != nil {
				return nil, err
			}
			for !strings.Contains(s.printed(), marker) {
				if err := s.get(ctx, c.path); err != nil {
					return nil, err
				}
				time.Sleep(poll)
			}
			took = append(took, time.Since(start))
		}
		return took, nil
	}
}

// test measures the tests.
func (c checkout) test(ctx context.Context, _ int) ([]time.Duration, error) {
	cmd := exec.Command("go", "tool", "mage", "test")
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.dir, os.Stderr, os.Stderr
	start := time.Now()
	err := process.Run(ctx, cmd)
	return []time.Duration{time.Since(start)}, err
}

// localRun is a running go tool mage run.
type localRun struct {
	process *process.Process
	url     string

	mu     sync.Mutex
	output bytes.Buffer
}

// run starts the stack and returns when it has printed its URL.
func (c checkout) run(ctx context.Context) (*localRun, error) {
	cmd := exec.Command("go", "tool", "mage", "run")
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "PORT=0", "NO_COLOR=1")
	s := &localRun{}
	cmd.Stdout, cmd.Stderr = s, s
	var err error
	if s.process, err = process.Start(cmd); err != nil {
		return nil, err
	}
	for {
		if match := regexp.MustCompile(`(?m) is at (http://\S+)$`).FindStringSubmatch(s.printed()); match != nil {
			s.url = match[1]
			return s, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), s.stop())
		case <-s.process.Done():
			return nil, fmt.Errorf("go tool mage run ended: %w\n%s", s.process.Wait(), s.printed())
		case <-time.After(poll):
		}
	}
}

// get sends a request to a path of the API.
func (s *localRun) get(ctx context.Context, path string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %s\n%s", request.URL, response.Status, s.printed())
	}
	return nil
}

// stop ends the stack as Ctrl-C does.
func (s *localRun) stop() error {
	if err := s.process.Signal(syscall.SIGINT); err != nil {
		return err
	}
	select {
	case <-s.process.Done():
	case <-time.After(stopGrace):
		return errors.Join(errors.New("go tool mage run did not end after Ctrl-C"), s.process.Kill())
	}
	return s.process.Wait()
}

// Write implements [io.Writer].
func (s *localRun) Write(output []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.output.Write(output)
}

func (s *localRun) printed() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.output.String()
}
