package function_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"go.uber.org/zap"

	"github.com/userrequestapi/userdata/shared/function"
	"github.com/userrequestapi/userdata/shared/logging"
	"github.com/userrequestapi/userdata/shared/request/requesttest"
	"github.com/userrequestapi/userdata/shared/tracing"
	"github.com/userrequestapi/userdata/shared/userdata"
)

// BenchmarkTracing measures a request that reads a user over HTTP: in a trace that is not sampled, with a daemon that
// reads, with a daemon whose queue is full, and without a daemon.
func BenchmarkTracing(b *testing.B) {
	database := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"Item":{"userId":{"S":"1"},"name":{"S":"Ada"},`+
			`"_userrequestapi_rev":{"S":"REVISIONREVISIONREVISIONRE"}}}`)
	}))
	b.Cleanup(database.Close)
	logger, err := logging.New(io.Discard, logging.Config{Service: "userdata"})
	if err != nil {
		b.Fatal(err)
	}
	users := userdata.New(userdata.NewClient(userdata.ClientConfig{
		Region:   "eu-central-1",
		Endpoint: database.URL,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}, nil
		}),
		Trace: tracing.Middleware,
	}), "Users")
	f := function.New(read, users, function.Settings{Service: "userdata", Stage: "prod"}, logger)

	for _, bench := range []struct {
		name   string
		daemon func(*testing.B, *net.UDPConn)
		header string
	}{
		{"not sampled", readAll, "Root=" + traceID + ";Parent=53995c3f42cd8ad8;Sampled=0"},
		{"daemon reads", readAll, traceHeader},
		{"daemon is full", func(b *testing.B, conn *net.UDPConn) {
			b.Helper()
			if err := conn.SetReadBuffer(1); err != nil { // the kernel raises it to its minimum
				b.Fatal(err)
			}
		}, traceHeader},
		{"no daemon", func(b *testing.B, conn *net.UDPConn) {
			b.Helper()
			if err := conn.Close(); err != nil {
				b.Fatal(err)
			}
		}, traceHeader},
	} {
		b.Run(bench.name, func(b *testing.B) {
			conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = conn.Close() })
			b.Setenv("AWS_XRAY_DAEMON_ADDRESS", conn.LocalAddr().String())
			if err := tracing.Configure(func() *zap.Logger { return logger }); err != nil {
				b.Fatal(err)
			}
			bench.daemon(b, conn)
			ctx := context.WithValue(b.Context(), traceHeaderKey(), bench.header)
			event := requesttest.Event("GET", "/users/1", "")
			b.ReportAllocs()
			for b.Loop() {
				if res, err := f.Handle(ctx, event); err != nil || res.StatusCode != http.StatusOK {
					b.Fatalf("got %v and error %v", res, err)
				}
			}
		})
	}
}

func readAll(b *testing.B, conn *net.UDPConn) {
	b.Helper()
	go func() {
		for buffer := make([]byte, 1<<16); ; {
			if _, err := conn.Read(buffer); err != nil {
				return
			}
		}
	}()
}
