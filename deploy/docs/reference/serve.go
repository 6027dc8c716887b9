package reference

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cli/browser"

	"github.com/userrequestapi/userdata/deploy/host/loopback"
)

const headerTimeout = 30 * time.Second

// Serve serves a page and its proxy, which may be nil, until ctx ends. Meanwhile it calls started with the URL of the
// page. The URL has a random part, because requests of other users of this machine would have the permissions of proxy.
func Serve(
	ctx context.Context, listener net.Listener, page Page, proxy http.Handler, started func(context.Context, string),
) error {
	path := "/" + rand.Text() + "/"
	mux := http.NewServeMux()
	Handle(mux, path, func(*http.Request) (Page, error) { return page, nil }, proxy)
	server := &http.Server{Handler: loopback.Guard(mux), ReadHeaderTimeout: headerTimeout}
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	running.Go(func() { started(ctx, "http://"+listener.Addr().String()+path) })
	running.Go(func() {
		<-ctx.Done()
		_ = server.Close()
	})
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the reference: %w", err)
	}
	return nil
}

// Browse shows a page that [Serve] serves in the browser that open starts. Other users can read the arguments of
// processes, so open gets the URL of a file that only this user can read and that redirects to address. The file is in
// dir, because some browsers cannot read the system's temporary folder. It is deleted when ctx ends.
func Browse(
	ctx context.Context, dir, address string, open func(ctx context.Context, address string) error,
) (err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, "reference-*.html")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name())) }()
	_, err = fmt.Fprintf(file, "<!doctype html>\n<meta http-equiv=\"refresh\" content=\"0; url=%s\">\n", address)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := open(ctx, (&url.URL{Scheme: "file", Path: file.Name()}).String()); err != nil && ctx.Err() == nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// OpenURL opens a URL in the user's browser. A browser that runs in the foreground is not closed when ctx ends.
func OpenURL(ctx context.Context, address string) error {
	browser.Stdout = os.Stderr // stdout is for results
	opened := make(chan error, 1)
	go func() { opened <- browser.OpenURL(address) }()
	select {
	case err := <-opened:
		return err
	case <-ctx.Done():
		return nil
	}
}
