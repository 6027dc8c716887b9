package userdata

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
)

// amazonRoots contains the five root certificates of Amazon Trust Services (https://www.amazontrust.com/repository).
//
//go:embed roots.pem
var amazonRoots []byte

// AmazonRoots returns the root certificates of AWS endpoints, for [ClientConfig]. It returns nil if SSL_CERT_FILE or
// SSL_CERT_DIR replaces the certificates of the system.
func AmazonRoots() *x509.CertPool {
	if os.Getenv("SSL_CERT_FILE") != "" || os.Getenv("SSL_CERT_DIR") != "" {
		return nil
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(amazonRoots)
	return pool
}

// dialTLS returns a dial function that verifies servers with roots. Once the issuer of a server is not among them, it
// uses the root certificates of the system instead. Parsing those takes half of the CPU time of a first handshake.
func (t *transport) dialTLS(roots *x509.CertPool) func(ctx context.Context, network, address string) (net.Conn, error) {
	first := t.next.TLSClientConfig.Clone()
	first.RootCAs = roots
	var config atomic.Pointer[tls.Config]
	config.Store(first)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := t.handshake(ctx, network, address, config.Load())
		if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown {
			config.Store(t.next.TLSClientConfig)
			conn, err = t.handshake(ctx, network, address, config.Load())
		}
		return conn, err
	}
}

func (t *transport) handshake(ctx context.Context, network, address string, config *tls.Config) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("connect to DynamoDB: %w", err)
	}
	conn, err := t.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	config = config.Clone()
	config.ServerName = host
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return secure, nil
}
