package dynamodb_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local/dynamodb"
)

func TestFirstUse_Concurrent(t *testing.T) {
	t.Parallel()
	requireReal(t)
	testenv.SkipUnlessAll(t) // downloads 57 MB
	cache, calls := t.TempDir(), filepath.Join(t.TempDir(), "calls")
	config := dynamodb.Config{CacheDir: cache, NPM: script(t, `echo "$*" >>`+calls+`; exec npm "$@"`)}
	var mu sync.Mutex
	var steps []string
	config.Progress = func(step string) {
		mu.Lock()
		defer mu.Unlock()
		steps = append(steps, step)
	}
	var group errgroup.Group
	for range 2 {
		group.Go(func() error {
			s, err := dynamodb.Start(t.Context(), config)
			if err != nil {
				return err
			}
			return s.Close()
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(read(t, calls), "\n"); got != 1 {
		t.Errorf("npm ran %d times, want once:\n%s", got, read(t, calls))
	}
	if got := strings.Count(strings.Join(steps, "\n"), "Downloading DynamoDB Local (57 MB)…"); got != 1 {
		t.Errorf("downloads shown: %d, want 1: %q", got, steps)
	}
	before := listing(t, cache)
	if diff := cmp.Diff([]string{"dynamodb-local-2.9.30", "dynamodb-local-2.9.30.lock"}, before[""]); diff != "" {
		t.Errorf("cache folder (-want +got):\n%s", diff)
	}

	// A complete cache needs no npm, and a run does not change it.
	start(t, dynamodb.Config{CacheDir: cache, NPM: "/nonexistent/npm"})
	if diff := cmp.Diff(before, listing(t, cache)); diff != "" {
		t.Errorf("cache folder after a run (-want +got):\n%s", diff)
	}

	// A program without plain.jar, from an earlier version of this package, is used.
	if err := os.Remove(filepath.Join(cache, "dynamodb-local-2.9.30", "plain.jar")); err != nil {
		t.Fatal(err)
	}
	start(t, dynamodb.Config{CacheDir: cache, NPM: "/nonexistent/npm"})
	if diff := cmp.Diff(before, listing(t, cache)); diff != "" {
		t.Errorf("cache folder after a run (-want +got):\n%s", diff)
	}
}

// TestStart_ClassArchive checks that the second run uses the archive of the first.
func TestStart_ClassArchive(t *testing.T) {
	t.Parallel()
	requireReal(t)
	installed, err := dynamodb.Install(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	program := filepath.Join(cache, filepath.Base(installed))
	if err := os.Mkdir(program, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"DynamoDBLocal.jar", "plain.jar", "DynamoDBLocal_lib"} {
		if err := os.Symlink(filepath.Join(installed, name), filepath.Join(program, name)); err != nil {
			t.Fatal(err)
		}
	}
	config := dynamodb.Config{
		CacheDir: cache, Java: script(t, `exec java -Xlog:class+load "$@"`), LogFile: filepath.Join(t.TempDir(), "java.log"),
	}
	archive := dynamodb.Archive(program, config.Java)
	const handler = "com.amazonaws.services.dynamodbv2.local.server.LocalDynamoDBRequestHandler"
	wantSource := func(want string) {
		t.Helper()
		s := start(t, config)
		testenv.Eventually(t, "the class archive", func() bool {
			_, err := os.Stat(archive)
			return err == nil
		})
		closeServer(t, s)
		if log := read(t, config.LogFile); !strings.Contains(log, handler+" source: "+want) {
			t.Errorf("log of %d bytes without the source, want the handler loaded from %q", len(log), want)
		}
	}
	const fromJar, fromArchive = "file:", "shared objects file"
	wantSource(fromJar)
	wantSource(fromArchive)
	if left, err := filepath.Glob(archive + ".new"); err != nil || len(left) > 0 {
		t.Errorf("files left = %q, error = %v; want none", left, err)
	}
	// An archive that does not match is ignored.
	if err := errors.Join(os.Remove(archive), os.WriteFile(archive, []byte("damaged"), 0o600)); err != nil {
		t.Fatal(err)
	}
	wantSource(fromJar)
}

// TestArchive checks that the path of the archive changes with an update of Java.
func TestArchive(t *testing.T) {
	t.Parallel()
	java, dir := script(t, "exit"), t.TempDir()
	first := dynamodb.Archive(dir, java)
	if got := dynamodb.Archive(dir, java); got != first {
		t.Errorf("same Java: %s, want %s", got, first)
	}
	if got := dynamodb.Archive(t.TempDir(), java); filepath.Base(got) == filepath.Base(first) {
		t.Errorf("other folder: %s, want another path", got)
	}
	link := filepath.Join(t.TempDir(), "java")
	if err := os.Symlink(java, link); err != nil {
		t.Fatal(err)
	}
	linked := dynamodb.Archive(dir, link)
	if err := os.Chtimes(java, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := dynamodb.Archive(dir, java); got == first {
		t.Error("got the same archive after an update of Java, want another")
	}
	if got := dynamodb.Archive(dir, link); got == linked {
		t.Error("got the same archive after an update of Java behind a symbolic link, want another")
	}
}

func TestDownloadFails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		npm  string
		want []string
	}{
		{
			"npm fails",
			`echo 'npm warn config x' >&2
			echo 'npm error code ECONNREFUSED' >&2
			echo 'npm error syscall connect' >&2
			echo 'npm error errno ECONNREFUSED' >&2
			echo 'npm error FetchError: request failed, reason: connect ECONNREFUSED 127.0.0.1:9' >&2
			echo 'npm error     at ClientRequest.<anonymous> (/usr/lib/index.js:130:14)' >&2
			echo 'npm error A complete log of this run can be found in: /home/someone/.npm/_logs/x.log' >&2
			exit 1`,
			[]string{
				"npm pack amplify-dynamodb-simulator@2.9.30 failed (exit status 1): code ECONNREFUSED; FetchError: request failed, " +
					"reason: connect ECONNREFUSED 127.0.0.1:9; check the network", "run again",
			},
		},
		{"older npm fails", `echo 'npm ERR! code E404'; exit 1`, []string{"code E404; check"}},
		{"npm crashes", `echo 'Segmentation fault'; kill -9 $$`, []string{"signal: killed", "Segmentation fault; check"}},
		{
			"other file", `printf changed >amplify-dynamodb-simulator-2.9.30.tgz`,
			[]string{"the download (7 bytes) is not amplify-dynamodb-simulator@2.9.30 as published", "run again"},
		},
		{
			"truncated", `: >amplify-dynamodb-simulator-2.9.30.tgz`,
			[]string{"the download (0 bytes) is not amplify-dynamodb-simulator@2.9.30 as published", "SHA-512", "run again"},
		},
		{"no file", `exit 0`, []string{"npm pack did not write amplify-dynamodb-simulator-2.9.30.tgz", "run again"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cache, calls := t.TempDir(), filepath.Join(t.TempDir(), "calls")
			config := dynamodb.Config{
				CacheDir: cache,
				Java:     fakeJava(t, "17.0.15", ""),
				NPM:      script(t, "echo call >>"+calls+"\n"+tt.npm),
			}
			for range 2 { // the second run retries
				_, err := dynamodb.Start(t.Context(), config)
				wantMessage(t, err, tt.want...)
				if diff := cmp.Diff([]string{"dynamodb-local-2.9.30.lock"}, listing(t, cache)[""]); diff != "" {
					t.Errorf("cache folder (-want +got):\n%s", diff)
				}
			}
			if got := strings.Count(read(t, calls), "\n"); got != 2 {
				t.Errorf("npm ran %d times, want 2", got)
			}
		})
	}
}

func TestDownload_Cancel(t *testing.T) {
	t.Parallel()
	cache, pidFile := t.TempDir(), filepath.Join(t.TempDir(), "pid")
	config := dynamodb.Config{
		CacheDir: cache,
		Java:     fakeJava(t, "17.0.15", ""),
		NPM:      script(t, `echo half >amplify-dynamodb-simulator-2.9.30.tgz; sleep 600 & echo $$ >`+pidFile+`; wait`),
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first := make(chan error, 1)
	go func() {
		_, err := dynamodb.Start(ctx, config)
		first <- err
	}()
	npm := waitForPid(t, pidFile)

	// A second run waits for the first, and can be cancelled.
	waiting, stopWaiting := context.WithCancel(t.Context())
	defer stopWaiting()
	second := config
	second.Progress = func(step string) {
		if !strings.HasPrefix(step, "Waiting for another process") {
			t.Errorf("step = %q, want waiting", step)
		}
		stopWaiting()
	}
	if _, err := dynamodb.Start(waiting, second); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting: error = %v, want context.Canceled", err)
	}

	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("downloading: error = %v, want context.Canceled", err)
	}
	if err := syscall.Kill(npm, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("signal to npm: error = %v, want %v", err, syscall.ESRCH)
	}
	if diff := cmp.Diff([]string{"dynamodb-local-2.9.30.lock"}, listing(t, cache)[""]); diff != "" {
		t.Errorf("cache folder (-want +got):\n%s", diff)
	}
}

func TestUnpack(t *testing.T) {
	t.Parallel()
	file := func(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644} }
	tests := []struct {
		name    string
		entries []tar.Header
		want    map[string][]string
		wantErr string
	}{
		{
			name: "emulator only",
			entries: []tar.Header{
				file("package/index.js"), file("package/emulator/a.jar"), file("package/emulator/lib/b.jar"), file("emulator/c.jar"),
			},
			want: map[string][]string{"": {"a.jar", "lib"}, "lib": {"b.jar"}},
		},
		{name: "parent folder", entries: []tar.Header{file("package/emulator/../../../evil")}, wantErr: "escapes"},
		{name: "absolute path", entries: []tar.Header{file("package/emulator//tmp/evil")}, wantErr: "escapes"},
		{
			name: "link",
			entries: []tar.Header{
				{Name: "package/emulator/link", Typeflag: tar.TypeSymlink, Linkname: "/tmp"}, file("package/emulator/link/evil"),
			},
			wantErr: "package/emulator/link is not a regular file",
		},
		{
			name:    "duplicate",
			entries: []tar.Header{file("package/emulator/a.jar"), file("package/emulator/a.jar")},
			wantErr: "exists",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var packed bytes.Buffer
			zipped := gzip.NewWriter(&packed)
			archive := tar.NewWriter(zipped)
			for _, header := range tt.entries {
				content := []byte(header.Name)
				if header.Typeflag != tar.TypeReg {
					content = nil
				}
				header.Size = int64(len(content))
				if err := archive.WriteHeader(&header); err != nil {
					t.Fatal(err)
				}
				if _, err := archive.Write(content); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(archive.Close(), zipped.Close()); err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			root, err := os.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = root.Close() }()
			err = dynamodb.Unpack(t.Context(), &packed, root)
			if tt.wantErr != "" {
				wantMessage(t, err, tt.wantErr)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, listing(t, dir)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

// listing returns the names in dir and in each folder below it; the key "" is dir.
func listing(t *testing.T, dir string) map[string][]string {
	t.Helper()
	names := map[string][]string{}
	var list func(folder string)
	list = func(folder string) {
		entries, err := os.ReadDir(filepath.Join(dir, folder))
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if strings.Contains(entry.Name(), ".jsa") { // the class archive, which a longer run begins to write
				continue
			}
			names[folder] = append(names[folder], entry.Name())
			if entry.IsDir() {
				list(filepath.Join(folder, entry.Name()))
			}
		}
	}
	list("")
	return names
}
