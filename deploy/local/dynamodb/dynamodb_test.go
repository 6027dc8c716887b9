package dynamodb_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"go.uber.org/goleak"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local/dynamodb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStart(t *testing.T) {
	t.Parallel()
	s := start(t, dynamodb.Config{})
	put(t, connect(t, s), "1")

	port := portOf(t, s)
	dialer := net.Dialer{Timeout: time.Second}
	for _, address := range otherAddresses(t) {
		conn, err := dialer.DialContext(t.Context(), "tcp", net.JoinHostPort(address, port))
		if err == nil {
			_ = conn.Close()
			t.Errorf("reachable on %s, want only 127.0.0.1", address)
		}
	}
	select {
	case <-s.Done():
		t.Error("Done is closed before Close, want it open")
	default:
	}
	log := s.LogFile()
	if _, err := os.Stat(log); err != nil {
		t.Errorf("log file: error = %v, want none", err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("Close: error = %v, want none", err)
		}
	}
	<-s.Done()
	if err := s.Err(); err != nil {
		t.Errorf("after Close: Err = %v, want nil", err)
	}
	if conn, err := dialer.DialContext(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", port)); err == nil {
		_ = conn.Close()
		t.Error("connected to the port after Close, want it refused")
	}
	if _, err := os.Stat(filepath.Dir(log)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("working folder after Close: error = %v, want not exist", err)
	}
}

func TestStart_KeepsData(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data of a user") // with spaces
	config := dynamodb.Config{DataDir: dir, LogFile: filepath.Join(t.TempDir(), "java.log")}

	first := start(t, config)
	put(t, connect(t, first), "kept")
	_, err := dynamodb.Start(t.Context(), config)
	wantMessage(t, err, dir, "in use by another run")
	closeServer(t, first)

	second := start(t, config)
	got, err := connect(t, second).GetItem(t.Context(), &awsdynamodb.GetItemInput{TableName: aws.String("Things"), Key: key("kept")})
	if err != nil || got.Item == nil {
		t.Fatalf("after a restart: item = %v, error = %v; want the item", got, err)
	}
	closeServer(t, second)
	if second.LogFile() != config.LogFile {
		t.Errorf("log file = %s, want %s", second.LogFile(), config.LogFile)
	}
	if _, err := os.Stat(config.LogFile); err != nil {
		t.Errorf("configured log file after Close: error = %v, want none", err)
	}

	config.Reset = true
	tables, err := connect(t, start(t, config)).ListTables(t.Context(), &awsdynamodb.ListTablesInput{})
	if err != nil || len(tables.TableNames) != 0 {
		t.Errorf("after a reset: tables = %v, error = %v, want none", tables.TableNames, err)
	}
}

func TestStart_DamagedData(t *testing.T) {
	t.Parallel()
	requireReal(t)
	tests := []struct {
		name   string
		damage func(file string) error
		want   string
	}{
		{
			"not a database",
			func(file string) error { return os.WriteFile(file, []byte(strings.Repeat("garbage!", 1000)), 0o600) },
			"is damaged (SQLite: file is encrypted or is not a database)",
		},
		{
			"truncated",
			func(file string) error { return os.WriteFile(file, []byte("SQLite format 3\x00\x04\x00"), 0o600) },
			"is damaged (SQLite: ",
		},
		{
			"not readable",
			func(file string) error { return os.Mkdir(file, 0o700) },
			"cannot use shared-local-instance.db",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := tt.damage(filepath.Join(dir, "shared-local-instance.db")); err != nil {
				t.Fatal(err)
			}
			config := dynamodb.Config{DataDir: dir, LogFile: filepath.Join(t.TempDir(), "java.log")}
			_, err := dynamodb.Start(t.Context(), config)
			wantMessage(t, err, tt.want, dir, "RESET=1 go tool mage run", config.LogFile)
			if log := read(t, config.LogFile); !strings.Contains(log, "SQLiteException") {
				t.Errorf("log:\n%s\nwant SQLiteException in it", log)
			}
			config.Reset = true
			start(t, config) // the advice in the error works
		})
	}
}

func TestServer_Dies(t *testing.T) {
	t.Parallel()
	requireReal(t)
	pidFile := filepath.Join(t.TempDir(), "pid")
	s := start(t, dynamodb.Config{Java: script(t, `echo $$ >`+pidFile+`; exec java "$@"`)})
	if err := syscall.Kill(waitForPid(t, pidFile), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	wantMessage(t, s.Err(), "ended unexpectedly", "signal: killed", s.LogFile())
	closeServer(t, s)
	if s.Err() == nil {
		t.Error("after Close: Err = nil, want the reason")
	}
	if _, err := os.Stat(s.LogFile()); err != nil {
		t.Errorf("log file that the error names: error = %v, want none", err)
	}
	if err := os.RemoveAll(filepath.Dir(s.LogFile())); err != nil {
		t.Error(err)
	}
}

func TestStart_JavaFails(t *testing.T) {
	t.Parallel()
	java := fakeJava(t, "17.0.15", `echo "Picked up JAVA_TOOL_OPTIONS: -Dx"
		echo 'Exception in thread "main" java.lang.RuntimeException: outer'
		echo '	at a.B.c(B.java:1)'
		echo 'Caused by: java.lang.OutOfMemoryError: not enough memory'
		echo '	at d.E.f(E.java:2)'
		exit 3`)
	config := dynamodb.Config{Java: java, CacheDir: fakeCache(t), LogFile: filepath.Join(t.TempDir(), "java.log")}
	_, err := dynamodb.Start(t.Context(), config)
	wantMessage(t, err, "java.lang.OutOfMemoryError: not enough memory", "exit status 3", config.LogFile)
	if log := read(t, config.LogFile); !strings.Contains(log, "at d.E.f(E.java:2)") {
		t.Errorf("log:\n%s\nwant the complete stack trace", log)
	}
}

func TestStart_Cancel(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		java string // shell script of java, which writes its process ID to $PID
	}{
		{"during the version check", `echo $$ >$PID; sleep 600 & wait`},
		{"during the start of the database", `case $1 in -version) echo 'version "21"'; exit;; esac; echo $$ >$PID; sleep 600 & wait`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pidFile := filepath.Join(t.TempDir(), "pid")
			config := dynamodb.Config{
				Java: script(t, "PID="+pidFile+"\n"+tt.java), CacheDir: fakeCache(t), DataDir: t.TempDir(),
				LogFile: filepath.Join(t.TempDir(), "java.log"),
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			failed := make(chan error)
			go func() {
				_, err := dynamodb.Start(ctx, config)
				failed <- err
			}()
			pid := waitForPid(t, pidFile)
			cancel()
			if err := <-failed; !errors.Is(err, context.Canceled) {
				t.Errorf("error = %v, want context.Canceled", err)
			}
			if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
				t.Errorf("signal to java: error = %v, want %v", err, syscall.ESRCH)
			}
			// The lock and the port are released: the next start reaches its own failure.
			config.Java = fakeJava(t, "21", "echo again; exit 1")
			_, err := dynamodb.Start(t.Context(), config)
			wantMessage(t, err, "again (exit status 1)")
		})
	}
}

// start runs DynamoDB Local from the user's cache until the test ends.
func start(t *testing.T, config dynamodb.Config) *dynamodb.Server {
	t.Helper()
	requireReal(t)
	s, err := dynamodb.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: error = %v, want none", err)
		}
	})
	return s
}

func requireReal(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Java, and npm and the network once")
	}
}

func closeServer(t *testing.T, s *dynamodb.Server) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func connect(t *testing.T, s *dynamodb.Server) *awsdynamodb.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return dynamodb.Connect(s.Endpoint(), func(o *awsdynamodb.Options) { o.HTTPClient = &http.Client{Transport: transport} })
}

// put creates the table Things with one item.
func put(t *testing.T, client *awsdynamodb.Client, id string) {
	t.Helper()
	if _, err := ensure(t, client, properties(t, things)); err != nil {
		t.Fatal(err)
	}
	putItem(t, client, "Things", key(id))
}

func key(id string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: id}}
}

func portOf(t *testing.T, s *dynamodb.Server) string {
	t.Helper()
	host, port, err := net.SplitHostPort(strings.TrimPrefix(s.Endpoint(), "http://"))
	if err != nil || host != "127.0.0.1" {
		t.Fatalf("endpoint = %s, error = %v, want http://127.0.0.1:PORT", s.Endpoint(), err)
	}
	return port
}

// otherAddresses returns the addresses of this machine except 127.0.0.1.
func otherAddresses(t *testing.T) []string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	var others []string
	for _, address := range addresses {
		if ip, ok := address.(*net.IPNet); ok && ip.IP.String() != "127.0.0.1" && !ip.IP.IsLinkLocalUnicast() {
			others = append(others, ip.IP.String())
		}
	}
	return others
}

// wantMessage checks that err contains all of want in a few lines, without a stack trace.
func wantMessage(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("error = nil, want %q in it", want)
	}
	for _, part := range want {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error = %v, want %q in it", err, part)
		}
	}
	if strings.Contains(err.Error(), "\tat ") || strings.Count(err.Error(), "\n") > 3 {
		t.Errorf("error = %v, want one message without a stack trace", err)
	}
}

// script writes an executable shell script.
func script(t *testing.T, body string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "command")
	// A child writes it: a concurrent fork could inherit a file open for writing, and running it would fail with
	// ETXTBSY.
	cmd := exec.Command("sh", "-c", `cat >"$0" && chmod +x "$0"`, name)
	cmd.Stdin = strings.NewReader("#!/bin/sh\n" + body + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("write the script: %v: %s", err, out)
	}
	return name
}

// fakeJava writes a java command that prints version for -version and otherwise runs body.
func fakeJava(t *testing.T, version, body string) string {
	t.Helper()
	return script(t, `if [ "$1" = -version ]; then echo 'openjdk version "`+version+`" 2025-04-15' >&2; exit; fi
`+body)
}

// fakeCache creates a cache folder that passes as complete.
func fakeCache(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "dynamodb-local-2.9.30")
	if err := os.Mkdir(program, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"DynamoDBLocal.jar", "plain.jar"} {
		if err := os.WriteFile(filepath.Join(program, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func waitForPid(t *testing.T, file string) (pid int) {
	t.Helper()
	testenv.Eventually(t, "the process id in "+file, func() bool {
		content, err := os.ReadFile(file)
		if err != nil || !strings.HasSuffix(string(content), "\n") {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(content)))
		if err != nil {
			t.Fatal(err)
		}
		return true
	})
	return pid
}

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
