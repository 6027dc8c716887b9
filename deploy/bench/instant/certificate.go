package instant

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// keyBits is the size of the keys in the chain of DynamoDB's certificate.
const keyBits = 2048

// NewCertificate returns a certificate for 127.0.0.1 with a chain like that of DynamoDB: an RSA certificate, issued by
// an intermediate authority. root is the certificate of the root authority, in PEM.
func NewCertificate() (certificate *tls.Certificate, root []byte, err error) {
	var (
		keys  [3]*rsa.PrivateKey // of the root, the intermediate authority and the server
		chain [3][]byte          // their certificates
	)
	for i := range keys {
		if keys[i], err = rsa.GenerateKey(rand.Reader, keyBits); err != nil {
			return nil, nil, fmt.Errorf("create a key: %w", err)
		}
	}
	now := time.Now()
	parent := &x509.Certificate{}
	for i, name := range []string{"Benchmark root", "Benchmark authority", "dynamodb"} {
		subject := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: name},
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
			IsCA: i < 2, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
		if i == 2 {
			subject.KeyUsage, subject.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
			subject.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		}
		issuer, signer := parent, keys[max(i-1, 0)]
		if i == 0 {
			issuer = subject
		}
		if chain[i], err = x509.CreateCertificate(rand.Reader, subject, issuer, &keys[i].PublicKey, signer); err != nil {
			return nil, nil, fmt.Errorf("create the certificate %s: %w", name, err)
		}
		parent = subject
	}
	return &tls.Certificate{Certificate: [][]byte{chain[2], chain[1]}, PrivateKey: keys[2]},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain[0]}), nil
}
