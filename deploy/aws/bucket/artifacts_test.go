package bucket_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/userrequestapi/userdata/deploy/aws/bucket"
	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	region     = "eu-central-1"
	service    = "UserRequestAPI"
	prefix     = "userrequestapi-artifacts-123456789012-"
	global     = prefix + region // the bucket of earlier versions
	name       = global + "-an"
	globalOnly = "me-south-1" // a Region without account regional namespaces
	getTags    = "GET /" + name + "?tagging " + owner
)

// creation returns the requests that create a bucket and apply its settings.
func creation() []string {
	put := func(what string) string { return "PUT /" + name + "?" + what + " " + owner }
	return []string{
		getTags, "PUT /" + name, put("ownershipControls"), put("publicAccessBlock"), put("encryption"), put("versioning"),
		put("lifecycle"), put("policy"), put("tagging"),
	}
}

// checkSettings checks that the bucket has all settings, in the XML and JSON of S3.
func checkSettings(t *testing.T, s *storage, location string, tags ...string) {
	t.Helper()
	digest := regexp.MustCompile(`<Key>Settings</Key><Value>([0-9a-f]{16})</Value>`).FindStringSubmatch(s.settings["tagging"])
	if digest == nil {
		t.Fatalf("tags = %s, want the digest of the settings", s.settings["tagging"])
	}
	want := map[string]string{
		"create":            "BucketOwnerEnforced" + location,
		"ownershipControls": `<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>`,
		"publicAccessBlock": `<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls>` +
			`<BlockPublicPolicy>true</BlockPublicPolicy><IgnorePublicAcls>true</IgnorePublicAcls>` +
			`<RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>`,
		"encryption": `<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>` +
			`<SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>`,
		"versioning": `<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`,
		"lifecycle": `<LifecycleConfiguration><Rule>` +
			`<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>` +
			`<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>` +
			`<Filter><Prefix></Prefix></Filter><ID>CleanUp</ID>` +
			`<NoncurrentVersionExpiration><NoncurrentDays>30</NoncurrentDays></NoncurrentVersionExpiration>` +
			`<Status>Enabled</Status></Rule></LifecycleConfiguration>`,
		"policy": `{"Version":"2012-10-17","Statement":[{"Sid":"TLSOnly","Effect":"Deny","Principal":"*","Action":"s3:*",` +
			`"Resource":["arn:aws:s3:::` + name + `","arn:aws:s3:::` + name + `/*"],` +
			`"Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}`,
		"tagging": tagSet(append(tags, "Service", service, "Settings", digest[1])...),
	}
	got := map[string]string{}
	for setting, document := range s.settings {
		got[setting] = strings.ReplaceAll(document, ` xmlns="http://s3.amazonaws.com/doc/2006-03-01/"`, "")
	}
	if location == "" {
		want["policy"] = strings.ReplaceAll(want["policy"], region, "us-east-1")
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

const located = "<CreateBucketConfiguration><LocationConstraint>" + region + "</LocationConstraint></CreateBucketConfiguration>"

func TestBucket_Ensure(t *testing.T) {
	t.Parallel()
	s, bucket := open(t, region)
	if created, err := bucket.Ensure(t.Context()); err != nil || !created {
		t.Fatalf("created = %t, %v, want true", created, err)
	}
	checkSettings(t, s, located)
	if diff := gocmp.Diff(creation(), s.takeRequests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}

	if created, err := bucket.Ensure(t.Context()); err != nil || created {
		t.Fatalf("again: created = %t, %v, want false", created, err)
	}
	if diff := gocmp.Diff([]string{getTags}, s.takeRequests()); diff != "" {
		t.Errorf("requests for a complete bucket (-want +got):\n%s", diff)
	}

	s.settings["tagging"] = tagSet("Team", "users", "Settings", "outdated")
	s.settings["policy"], s.settings["versioning"] = "", ""
	if created, err := bucket.Ensure(t.Context()); err != nil || created {
		t.Fatalf("with outdated settings: created = %t, %v, want false", created, err)
	}
	checkSettings(t, s, located, "Team", "users")
}

// CreateBucket rejects us-east-1 as LocationConstraint.
func TestBucket_Ensure_NoLocation(t *testing.T) {
	t.Parallel()
	s, bucket := open(t, "us-east-1")
	if created, err := bucket.Ensure(t.Context()); err != nil || !created {
		t.Fatalf("created = %t, %v, want true", created, err)
	}
	checkSettings(t, s, "")
}

// Ensure completes the bucket of a deployment that was interrupted after any request.
func TestBucket_Ensure_Interrupted(t *testing.T) {
	t.Parallel()
	for last := range creation() {
		t.Run(fmt.Sprintf("after %d requests", last), func(t *testing.T) {
			t.Parallel()
			s, bucket := open(t, region)
			stop := errors.New("stop pressed")
			ctx, cancel := context.WithCancelCause(t.Context())
			s.before = func(_ http.ResponseWriter, _ *http.Request, number int) bool {
				if number <= last {
					return false
				}
				cancel(stop)
				return true
			}
			if _, err := bucket.Ensure(ctx); !errors.Is(err, stop) {
				t.Fatalf("error = %v, want %v", err, stop)
			}
			s.before = nil
			if _, err := bucket.Ensure(t.Context()); err != nil {
				t.Fatal(err)
			}
			checkSettings(t, s, located)
		})
	}
}

func TestBucket_Ensure_Refused(t *testing.T) {
	t.Parallel()
	const foreign = "want a bucket of the account " + owner + ", got one of another account"
	tests := []struct {
		name  string
		owner string
		// The response to the request with this query, or to CreateBucket without one.
		query         string
		status        int
		code, message string

		kind awserrors.Kind
		want []string // substrings of the error
		not  string
		last string // request
	}{
		{
			name: "another account owns it", status: 409, code: "BucketAlreadyExists", message: "The requested bucket name is not available.",
			kind: awserrors.Other, want: []string{foreign, name}, last: "PUT /" + name,
		},
		{
			name: "no permission to get tags", query: "tagging", owner: owner, status: 403, code: "AccessDenied",
			message: "User: arn:aws:iam::123456789012:user/me is not authorized to perform: s3:GetBucketTagging on resource: \"arn:aws:s3:::" + name + "\" because no identity-based policy allows the s3:GetBucketTagging action",
			kind:    awserrors.Denied, want: []string{"user/me may not call s3:GetBucketTagging", "docs/deploy.md"}, not: "belongs", last: getTags,
		},
		{
			name: "no permission to create it", status: 403, code: "AccessDenied",
			message: "User: arn:aws:iam::123456789012:user/me is not authorized to perform: s3:CreateBucket on resource: \"arn:aws:s3:::" + name + "\" because no identity-based policy allows the s3:CreateBucket action",
			kind:    awserrors.Denied, want: []string{"user/me may not call s3:CreateBucket"}, not: "belongs", last: "PUT /" + name,
		},
		{
			name: "no permission for a setting", query: "policy", status: 403, code: "AccessDenied", message: "Access Denied",
			kind: awserrors.Denied, want: []string{"s3:PutBucketPolicy"}, last: "PUT /" + name + "?policy " + owner,
		},
		{
			name: "too many buckets", status: 400, code: "TooManyBuckets", message: "You have attempted to create more buckets than allowed",
			kind: awserrors.Quota, want: []string{"quota", "more buckets than allowed"}, last: "PUT /" + name,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, bucket := open(t, region)
			s.owners[name] = tt.owner
			s.before = func(w http.ResponseWriter, r *http.Request, _ int) bool {
				query := strings.Trim(strings.Replace(r.URL.RawQuery, "x-id=", "", 1), "&=")
				if tt.status == 0 || query != tt.query && !strings.HasPrefix(query, tt.query+"&") {
					return false
				}
				refuse(w, r, tt.status, tt.code, tt.message)
				return true
			}
			_, err := bucket.Ensure(t.Context())
			if err == nil {
				t.Fatalf("error = nil, want %q", tt.want)
			}
			if kind := awserrors.KindOf(err); kind != tt.kind {
				t.Errorf("kind of the error = %v, want %v", kind, tt.kind)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error = %v\nwant it to contain %q", err, want)
				}
			}
			if tt.not != "" && strings.Contains(err.Error(), tt.not) {
				t.Errorf("error = %v\nwant it without %q", err, tt.not)
			}
			requests := s.takeRequests()
			if last := requests[len(requests)-1]; last != tt.last {
				t.Errorf("last request = %s, want %s", last, tt.last)
			}
		})
	}
}

func TestBucket_Throttled(t *testing.T) {
	t.Parallel()
	s, bucket := open(t, region)
	s.before = func(w http.ResponseWriter, r *http.Request, number int) bool {
		if number%2 == 0 {
			return false
		}
		refuse(w, r, http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.")
		return true
	}
	if created, err := bucket.Ensure(t.Context()); err != nil || !created {
		t.Fatalf("created = %t, %v, want true", created, err)
	}
	checkSettings(t, s, located)
	if uploaded, err := bucket.Upload(t.Context(), "key", []byte("content")); err != nil || !uploaded {
		t.Errorf("uploaded = %t, %v, want true", uploaded, err)
	}

	s.before = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		refuse(w, r, http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.")
		return true
	}
	if _, err := bucket.Ensure(t.Context()); awserrors.KindOf(err) != awserrors.Throttled {
		t.Errorf("error = %v, want kind Throttled", err)
	}
}

// Two deployments find no bucket, and S3 rejects concurrent changes.
func TestBucket_ConcurrentDeployments(t *testing.T) {
	t.Parallel()
	s, bucket := open(t, region)
	var both sync.WaitGroup
	both.Add(2)
	var mu sync.Mutex
	seen := map[string]int{}
	s.before = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Method == http.MethodGet {
			both.Done()
			both.Wait()
			refuse(w, r, http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
			return true
		}
		mu.Lock()
		defer mu.Unlock()
		seen[r.URL.RequestURI()]++
		if seen[r.URL.RequestURI()] == 2 {
			refuse(w, r, http.StatusConflict, "OperationAborted", "A conflicting conditional operation is currently in progress against this resource.")
			return true
		}
		return false
	}
	type result struct {
		created bool
		err     error
	}
	results := make(chan result)
	for range 2 {
		go func() {
			created, err := bucket.Ensure(t.Context())
			results <- result{created, err}
		}()
	}
	count := 0
	for range 2 {
		r := <-results
		if r.err != nil {
			t.Error(r.err)
		}
		if r.created {
			count++
		}
	}
	if count != 1 {
		t.Errorf("%d deployments created the bucket, want 1", count)
	}
	checkSettings(t, s, located)
}

func TestBucket_Upload(t *testing.T) {
	t.Parallel()
	s, bucket := open(t, region)
	s.owners[name] = owner
	const key = "functions/get/abc.zip"
	content := bytes.Repeat([]byte("a package "), 1<<19) // long enough for Expect: 100-continue
	head, put := "HEAD /"+name+"/"+key+" "+owner, "PUT /"+name+"/"+key+" "+owner

	steps := []struct {
		name     string
		content  []byte
		uploaded bool
		want     []string
	}{
		{"absent", content, true, []string{head, put}},
		{"present", content, false, []string{head}},
		{"with other content", []byte("other"), true, []string{head, put}},
	}
	for _, step := range steps {
		uploaded, err := bucket.Upload(t.Context(), key, step.content)
		if err != nil || uploaded != step.uploaded {
			t.Errorf("%s: uploaded = %t, %v, want %t", step.name, uploaded, err, step.uploaded)
		}
		if diff := gocmp.Diff(step.want, s.takeRequests()); diff != "" {
			t.Errorf("%s: requests (-want +got):\n%s", step.name, diff)
		}
		if got, err := bucket.Get(t.Context(), key); err != nil || !bytes.Equal(got, step.content) {
			t.Errorf("%s: got %d bytes, %v, want the uploaded %d bytes", step.name, len(got), err, len(step.content))
		}
		s.takeRequests()
	}
}

func TestBucket_Upload_Interrupted(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("a package "), 1<<19)
	// abort reads a part of an upload and closes the connection.
	abort := func(r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, 1000)
		panic(http.ErrAbortHandler)
	}
	t.Run("temporary network failure", func(t *testing.T) {
		t.Parallel()
		s, bucket := open(t, region)
		s.owners[name] = owner
		broken := false
		s.before = func(_ http.ResponseWriter, r *http.Request, _ int) bool {
			if r.Method == http.MethodPut && !broken {
				broken = true
				abort(r)
			}
			return false
		}
		if uploaded, err := bucket.Upload(t.Context(), "key", content); err != nil || !uploaded {
			t.Errorf("uploaded = %t, %v, want true", uploaded, err)
		}
		if !bytes.Equal(s.objects["key"], content) {
			t.Errorf("the object has %d bytes, want %d", len(s.objects["key"]), len(content))
		}
	})
	t.Run("lasting network failure", func(t *testing.T) {
		t.Parallel()
		s, bucket := open(t, region)
		s.owners[name] = owner
		s.before = func(_ http.ResponseWriter, r *http.Request, _ int) bool {
			if r.Method == http.MethodPut {
				abort(r)
			}
			return false
		}
		if _, err := bucket.Upload(t.Context(), "key", content); awserrors.KindOf(err) != awserrors.Unreachable {
			t.Errorf("error = %v, want kind Unreachable", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		s, bucket := open(t, region)
		s.owners[name] = owner
		stop := errors.New("stop pressed")
		ctx, cancel := context.WithCancelCause(t.Context())
		s.before = func(_ http.ResponseWriter, r *http.Request, _ int) bool {
			if r.Method == http.MethodPut {
				cancel(stop)
				abort(r)
			}
			return false
		}
		if _, err := bucket.Upload(ctx, "key", content); !errors.Is(err, stop) {
			t.Errorf("error = %v, want %v", err, stop)
		}
		if len(s.objects) != 0 {
			t.Errorf("the bucket has %d objects, want none", len(s.objects))
		}
		s.before = nil
		if uploaded, err := bucket.Upload(t.Context(), "key", content); err != nil || !uploaded {
			t.Errorf("again: uploaded = %t, %v, want true", uploaded, err)
		}
	})
}

func TestBucket_Upload_Foreign(t *testing.T) {
	t.Parallel()
	s, bucket := open(t, globalOnly)
	s.owners[bucket.Name()] = other
	_, err := bucket.Upload(t.Context(), "key", []byte("content"))
	if awserrors.KindOf(err) != awserrors.Denied || !strings.Contains(err.Error(), "another account than "+owner) {
		t.Errorf("error = %v, want kind Denied and the possible owner", err)
	}
	if len(s.objects) != 0 {
		t.Error("the object was uploaded to another account's bucket")
	}
}

func TestBucket_Get_Absent(t *testing.T) {
	t.Parallel()
	s, bucket := open(t, region)
	s.owners[name] = owner
	if _, err := bucket.Get(t.Context(), "templates/1.json"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "templates/1.json") {
		t.Errorf("error = %v, want %v with the key", err, fs.ErrNotExist)
	}
}

func TestBucket_URL(t *testing.T) {
	t.Parallel()
	tests := []struct{ region, want string }{
		{region, "https://" + name + ".s3.eu-central-1.amazonaws.com/templates/prod/1.json"},
		{"us-east-1", "https://" + prefix + "us-east-1-an.s3.us-east-1.amazonaws.com/templates/prod/1.json"},
		{"cn-north-1", "https://" + prefix + "cn-north-1-an.s3.cn-north-1.amazonaws.com.cn/templates/prod/1.json"},
	}
	for _, tt := range tests {
		t.Run(tt.region, func(t *testing.T) {
			t.Parallel()
			a := accountIn(t, "", tt.region)
			a.Config.HTTPClient = doer(func(*http.Request) (*http.Response, error) { // the bucket exists
				return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(tagSet()))}, nil
			})
			bucket, err := bucket.Open(t.Context(), a, service)
			if err != nil {
				t.Fatal(err)
			}
			if got := bucket.URL("templates/prod/1.json"); got != tt.want {
				t.Errorf("URL = %s, want %s", got, tt.want)
			}
		})
	}
	s, endpoint := serve(t)
	s.owners[name] = owner
	bucket, err := bucket.Open(t.Context(), accountIn(t, endpoint, region), service)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := bucket.URL("1.json"), endpoint+"/"+name+"/1.json"; got != want {
		t.Errorf("at another endpoint: URL = %s, want %s", got, want)
	}
}

// doer is an HTTP client.
type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

// TestOpen opens the bucket for each combination of existing buckets and their owners.
func TestOpen(t *testing.T) {
	t.Parallel()
	const getGlobalTags = "GET /" + global + "?tagging " + owner
	denied := func(message string) func(http.ResponseWriter, *http.Request, int) bool {
		return func(w http.ResponseWriter, r *http.Request, number int) bool {
			if number < 2 { // the second request is about the global namespace
				return false
			}
			refuse(w, r, http.StatusForbidden, "AccessDenied", message)
			return true
		}
	}
	tests := []struct {
		name     string
		region   string
		owners   map[string]string
		before   func(http.ResponseWriter, *http.Request, int) bool
		want     string
		requests []string
		err      []string // substrings
	}{
		{name: "none exists", want: name, requests: []string{getTags, getGlobalTags}},
		{name: "account regional namespace", owners: map[string]string{name: owner}, want: name, requests: []string{getTags}},
		{name: "both", owners: map[string]string{name: owner, global: owner}, want: name, requests: []string{getTags}},
		{
			name: "global namespace", owners: map[string]string{global: owner},
			want: global, requests: []string{getTags, getGlobalTags},
		},
		{name: "another account's", owners: map[string]string{global: other}, want: name, requests: []string{getTags, getGlobalTags}},
		{
			name: "another account's in another Region", want: name, requests: []string{getTags, getGlobalTags},
			before: func(w http.ResponseWriter, r *http.Request, number int) bool {
				if number == 2 {
					refuse(w, r, http.StatusMovedPermanently, "PermanentRedirect", "Use the specified endpoint.")
				}
				return number == 2
			},
		},
		{
			name:     "no permission",
			before:   denied(`User: arn:aws:iam::1:user/me is not authorized to perform: s3:GetBucketTagging on resource: "x"`),
			requests: []string{getTags, getGlobalTags}, err: []string{global, "user/me may not call s3:GetBucketTagging"},
		},
		{
			name: "Region without account regional namespaces", region: globalOnly,
			want: "userrequestapi-artifacts-123456789012-" + globalOnly,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, endpoint := serve(t)
			maps.Copy(s.owners, tt.owners)
			s.before = tt.before
			bucket, err := bucket.Open(t.Context(), accountIn(t, endpoint, cmp.Or(tt.region, region)), service)
			if diff := gocmp.Diff(tt.requests, s.takeRequests()); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
			for _, want := range tt.err {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error = %v, want %q in it", err, want)
				}
			}
			if tt.err != nil {
				return
			}
			if err != nil || bucket.Name() != tt.want {
				t.Fatalf("bucket %v, error = %v, want %s", bucket, err, tt.want)
			}
			s.before = nil
			if _, err := bucket.Ensure(t.Context()); err != nil || s.owners[tt.want] != owner {
				t.Errorf("error = %v, buckets %v, want %s owned by the account", err, s.owners, tt.want)
			}
		})
	}
}

// In a Region without account regional namespaces, another account can take the name.
func TestBucket_Ensure_NameTaken(t *testing.T) {
	t.Parallel()
	s, bucket := open(t, globalOnly)
	s.owners[bucket.Name()] = other
	_, err := bucket.Ensure(t.Context())
	if awserrors.KindOf(err) != awserrors.Denied || !strings.Contains(err.Error(), "another account than "+owner) {
		t.Errorf("error = %v, want kind Denied and the possible owner", err)
	}
}
