package bucket_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/userrequestapi/userdata/deploy/aws/account"
	"github.com/userrequestapi/userdata/deploy/aws/bucket"
)

const (
	owner = "123456789012"
	other = "999999999999"
)

// storage is an S3 server ("Amazon S3 API Reference") with path-style URLs. Settings and objects are those of the one
// bucket that a test writes to.
type storage struct {
	// before, if not nil, is called first, with the number of the request from 1. It reports whether it has responded.
	before func(w http.ResponseWriter, r *http.Request, number int) bool

	mu       sync.Mutex
	owners   map[string]string // by bucket name
	settings map[string]string
	objects  map[string][]byte
	requests []string // method, URI and expected owner
}

func (s *storage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, _, _ := strings.Cut(r.URL.RequestURI(), "x-id=") // the name of the operation
	expected := r.Header.Get("X-Amz-Expected-Bucket-Owner")
	s.mu.Lock()
	s.requests = append(s.requests, strings.TrimSpace(r.Method+" "+strings.TrimRight(path, "?&=")+" "+expected))
	number := len(s.requests)
	s.mu.Unlock()
	if s.before != nil && s.before(w, r, number) {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has closed the connection
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	setting := ""
	for _, name := range []string{
		"tagging", "ownershipControls", "publicAccessBlock", "encryption", "versioning", "lifecycle", "policy",
	} {
		if r.URL.Query().Has(name) {
			setting = name
		}
	}
	create := r.Method == http.MethodPut && key == "" && setting == ""
	namespace := r.Header.Get("X-Amz-Bucket-Namespace")
	switch {
	case create && strings.HasSuffix(bucket, "-an") != (namespace == "account-regional"):
		refuse(w, r, http.StatusBadRequest, "InvalidBucketNamespace", "The name does not fit the namespace "+namespace)
	case create && s.owners[bucket] == owner:
		refuse(w, r, http.StatusConflict, "BucketAlreadyOwnedByYou", "you own it")
	case create && s.owners[bucket] != "":
		refuse(w, r, http.StatusConflict, "BucketAlreadyExists", "The requested bucket name is not available.")
	case create:
		s.owners[bucket] = owner
		s.settings["create"] = r.Header.Get("X-Amz-Object-Ownership") + string(body)
		w.Header().Set("Location", "/"+bucket)
	case s.owners[bucket] == "":
		refuse(w, r, http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
	case s.owners[bucket] != owner || expected != owner:
		refuse(w, r, http.StatusForbidden, "AccessDenied", "Access Denied")
	case setting != "" && r.Method == http.MethodPut:
		s.settings[setting] = string(body)
	case setting == "tagging" && s.settings[setting] == "":
		refuse(w, r, http.StatusNotFound, "NoSuchTagSet", "The TagSet does not exist")
	case setting != "":
		_, _ = io.WriteString(w, s.settings[setting])
	case r.Method == http.MethodPut:
		if sum := checksum(body); r.Header.Get("X-Amz-Checksum-Sha256") != sum {
			refuse(w, r, http.StatusBadRequest, "BadDigest", "The SHA256 you specified did not match the calculated checksum.")
			return
		}
		s.objects[key] = body
	case s.objects[key] == nil:
		refuse(w, r, http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
	default:
		if r.Header.Get("X-Amz-Checksum-Mode") == "ENABLED" {
			w.Header().Set("X-Amz-Checksum-Sha256", checksum(s.objects[key]))
		}
		_, _ = w.Write(s.objects[key])
	}
}

func checksum(content []byte) string {
	sum := sha256.Sum256(content)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// refuse responds with an error; the response to HEAD has no body.
func refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	type document struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
	}
	_ = xml.NewEncoder(w).Encode(document{Code: code, Message: message})
}

// serve starts a server without buckets.
func serve(t *testing.T) (s *storage, endpoint string) {
	t.Helper()
	s = &storage{owners: map[string]string{}, settings: map[string]string{}, objects: map[string][]byte{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, server.URL
}

// open starts a server without buckets and opens the bucket, which does not exist.
func open(t *testing.T, region string) (*storage, *bucket.Bucket) {
	t.Helper()
	s, endpoint := serve(t)
	bucket, err := bucket.Open(t.Context(), accountIn(t, endpoint, region), service)
	if err != nil {
		t.Fatal(err)
	}
	s.takeRequests()
	return s, bucket
}

// accountIn returns an account in a Region with an S3 endpoint.
func accountIn(t *testing.T, endpoint, region string) *account.Account {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	cfg := aws.Config{
		Region:      region,
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""),
		HTTPClient:  &http.Client{Transport: transport},
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts, o.MaxBackoff, o.RateLimiter = 4, time.Millisecond, ratelimit.None
			})
		},
	}
	if endpoint != "" {
		cfg.BaseEndpoint = &endpoint
	}
	return &account.Account{ID: owner, Region: region, Partition: "aws", Config: cfg}
}

// takeRequests returns the requests since the last call and clears them.
func (s *storage) takeRequests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests := slices.Clone(s.requests)
	s.requests = nil
	return requests
}

// tagSet returns the XML of tags, given as keys and values.
func tagSet(tags ...string) string {
	var b strings.Builder
	b.WriteString("<Tagging><TagSet>")
	for i := 0; i < len(tags); i += 2 {
		fmt.Fprintf(&b, "<Tag><Key>%s</Key><Value>%s</Value></Tag>", tags[i], tags[i+1])
	}
	b.WriteString("</TagSet></Tagging>")
	return b.String()
}
