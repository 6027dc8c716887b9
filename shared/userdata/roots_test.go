package userdata_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/shared/userdata"
)

// TestMain makes the certificate of test servers the only one that the system trusts. Go reads the variable once.
func TestMain(m *testing.M) {
	server := httptest.NewTLSServer(nil)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	server.Close()
	dir, err := os.MkdirTemp("", "userdata")
	if err != nil {
		log.Fatal(err)
	}
	file := filepath.Join(dir, "roots.pem")
	if err := os.WriteFile(file, certificate, 0o600); err != nil {
		log.Fatal(err)
	}
	if err := os.Setenv("SSL_CERT_FILE", file); err != nil {
		log.Fatal(err)
	}
	status := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

// TestAmazonRoots compares the public keys with the published ones ("Root CAs" at
// https://www.amazontrust.com/repository). It fails a year before the first certificate expires.
func TestAmazonRoots(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("roots.pem")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		key := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
		got[certificate.Subject.CommonName] = hex.EncodeToString(key[:])
		if time.Until(certificate.NotAfter) < 365*24*time.Hour {
			t.Errorf("%s expires on %s: replace it", certificate.Subject.CommonName, certificate.NotAfter)
		}
	}
	want := map[string]string{
		"Amazon Root CA 1": "fbe3018031f9586bcbf41727e417b7d1c45c2f47f93be372a17b96b50757d5a2",
		"Amazon Root CA 2": "7f4296fc5b6a4e3b35d3c369623e364ab1af381d8fa7121533c9d6c633ea2461",
		"Amazon Root CA 3": "36abc32656acfc645c61b71613c4bf21c787f5cabbee48348d58597803d7abc9",
		"Amazon Root CA 4": "f7ecded5c66047d28ed6466b543c40e0743abe81d109254dcf845d4c2c7853c5",
		"Starfield Services Root Certificate Authority - G2": "2b071c59a0a0ae76b0eadb2bad23bad4580b69c3601b630c2eaf0613afa83f92",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("SHA-256 of the public keys (-want +got):\n%s", diff)
	}
}

func TestAmazonRoots_Environment(t *testing.T) {
	for _, variable := range []string{"", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv("SSL_CERT_FILE", "")
			t.Setenv("SSL_CERT_DIR", "")
			if variable != "" {
				t.Setenv(variable, "/certificates")
			}
			if got := userdata.AmazonRoots(); (got != nil) != (variable == "") {
				t.Errorf("got roots %t, want %t", got != nil, variable == "")
			}
		})
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	if _, err := x509.SystemCertPool(); err != nil { // read once: on a busy machine longer than a handshake may take
		t.Fatal(err)
	}
	own := httptest.NewTLSServer(nil)
	t.Cleanup(own.Close)
	trusted := x509.NewCertPool()
	trusted.AddCert(own.Certificate())
	for name, test := range map[string]struct {
		roots      *x509.CertPool
		handshakes int // that the first request needs
	}{
		"roots of the system":            {nil, 1},
		"other roots":                    {trusted, 1},
		"other roots, then the system's": {x509.NewCertPool(), 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name != "other roots" && (runtime.GOOS == "darwin" || runtime.GOOS == "windows") {
				t.Skip("Go verifies with the certificates of the system, and ignores SSL_CERT_FILE")
			}
			var mu sync.Mutex
			var handshakes int
			var resumed []bool
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				resumed = append(resumed, r.TLS.DidResume)
				_, _ = io.WriteString(w, `{"Item":{"userId":{"S":"1"}}}`)
			}))
			server.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that the client ends
			server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					mu.Lock()
					defer mu.Unlock()
					handshakes++
				}
			}
			server.StartTLS()
			t.Cleanup(server.Close)
			store := userdata.New(userdata.NewClient(userdata.ClientConfig{
				Region: "eu-central-1", Endpoint: server.URL, Credentials: testCredentials(), Roots: test.roots,
			}), "UserData")
			for range 2 {
				if _, err := store.Get(t.Context(), "1"); err != nil {
					t.Fatal(err)
				}
				server.CloseClientConnections()
			}
			mu.Lock()
			defer mu.Unlock()
			if handshakes != test.handshakes+1 {
				t.Errorf("got %d connections, want %d and one after the first was closed", handshakes, test.handshakes)
			}
			if diff := cmp.Diff([]bool{false, true}, resumed); diff != "" {
				t.Errorf("resumed TLS sessions (-want +got):\n%s", diff)
			}
		})
	}
}
