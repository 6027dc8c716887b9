// Package bucket stores deployment artifacts, which are the functions' packages and the templates, in an S3 bucket.
package bucket

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/userrequestapi/userdata/deploy/aws/account"
	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
)

// Bucket is the artifact bucket of all stages in an account and Region. It is safe for concurrent use, also by
// several deployments.
//
// Every call except CreateBucket sets ExpectedBucketOwner, because another account may own a bucket with this name in
// the global namespace.
type Bucket struct {
	name      string
	service   string
	namespace types.BucketNamespace
	owner     string // the account
	partition string
	region    string
	url       *url.URL
	client    *s3.Client
}

// Open returns the bucket of a service in an account and Region, which need not exist. Its name begins with the name of
// the service in lower case.
//
// The bucket is in the account regional namespace, where only the account can create buckets ("Namespaces for general
// purpose buckets", Amazon S3 User Guide). If earlier versions created a bucket in the global namespace, Open returns
// it.
func Open(ctx context.Context, a *account.Account, service string) (*Bucket, error) {
	global, err := newBucket(a, service, types.BucketNamespaceGlobal)
	if err != nil || slices.Contains(withoutNamespace(), a.Region) {
		return global, err
	}
	regional, err := newBucket(a, service, types.BucketNamespaceAccountRegional)
	if err != nil {
		return nil, err
	}
	if exists, err := regional.exists(ctx); exists || err != nil {
		return regional, err
	}
	if exists, err := global.exists(ctx); exists || err != nil {
		return global, err
	}
	return regional, nil
}

// withoutNamespace returns the Regions without account regional namespaces.
func withoutNamespace() []string { return []string{"me-central-1", "me-south-1"} }

func newBucket(a *account.Account, service string, namespace types.BucketNamespace) (*Bucket, error) {
	client := s3.NewFromConfig(a.Config, func(o *s3.Options) {
		o.UsePathStyle = o.BaseEndpoint != nil // subdomains of a custom endpoint do not resolve
	})
	b := &Bucket{
		name:      fmt.Sprintf("%s-artifacts-%s-%s", strings.ToLower(service), a.ID, a.Region),
		service:   service,
		namespace: namespace,
		owner:     a.ID,
		partition: a.Partition,
		region:    a.Region,
		client:    client,
	}
	if namespace == types.BucketNamespaceAccountRegional {
		b.name += "-an" // S3 requires the suffix account-Region-an
	}
	endpoint, err := s3.NewDefaultEndpointResolverV2().ResolveEndpoint(context.Background(), s3.EndpointParameters{
		Bucket: &b.name, Region: &b.region, Endpoint: client.Options().BaseEndpoint,
		ForcePathStyle: aws.Bool(client.Options().UsePathStyle),
	}.WithDefaults())
	if err != nil {
		return nil, fmt.Errorf("resolve the endpoint of the bucket %s: %w", b.name, err)
	}
	b.url = &endpoint.URI
	return b, nil
}

// exists reports whether the bucket exists and belongs to the account.
func (b *Bucket) exists(ctx context.Context) (bool, error) {
	_, exists, err := b.tags(ctx)
	if b.maybeForeign(err) {
		return false, nil
	}
	return exists, err
}

// tags returns the bucket's tags, and reports whether it exists.
func (b *Bucket) tags(ctx context.Context) (tags []types.Tag, exists bool, err error) {
	out, err := b.client.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: &b.name, ExpectedBucketOwner: &b.owner})
	switch code := awserrors.Code(err); {
	case code == "NoSuchBucket", code == "NoSuchTagSet":
		return nil, code == "NoSuchTagSet", nil
	case err != nil:
		return nil, false, b.explain(ctx, "get its tags", err)
	default:
		return out.TagSet, true, nil
	}
}

// maybeForeign reports whether an error may mean that the bucket belongs to another account. In the global namespace it
// may also be in another Region. S3 names the missing permission only to principals of the bucket's account.
func (b *Bucket) maybeForeign(err error) bool {
	e, ok := errors.AsType[*awserrors.Error](awserrors.Explain(err))
	return ok && b.namespace == types.BucketNamespaceGlobal &&
		(e.Kind == awserrors.Region || e.Kind == awserrors.Denied && !strings.Contains(e.Err.Error(), "is not authorized"))
}

// Name returns the bucket's name.
func (b *Bucket) Name() string { return b.name }

// URL returns the URL of an object in the form of CloudFormation's TemplateURL.
func (b *Bucket) URL(key string) string { return b.url.JoinPath(key).String() }

// Upload stores an object, unless it exists with this content. uploaded reports whether it did. An interrupted upload
// has no effect.
func (b *Bucket) Upload(ctx context.Context, key string, content []byte) (uploaded bool, err error) {
	digest := sha256.Sum256(content)
	checksum := base64.StdEncoding.EncodeToString(digest[:])
	existing, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{
		Bucket: &b.name, Key: &key, ExpectedBucketOwner: &b.owner, ChecksumMode: types.ChecksumModeEnabled,
	})
	switch _, absent := errors.AsType[*types.NotFound](err); {
	case err == nil && aws.ToString(existing.ChecksumSHA256) == checksum:
		return false, nil
	case err != nil && !absent:
		return false, b.explain(ctx, "head "+key+" (s3:GetObject and s3:ListBucket)", err)
	}
	_, err = b.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &b.name, Key: &key, ExpectedBucketOwner: &b.owner,
		Body: bytes.NewReader(content), ChecksumSHA256: &checksum,
	})
	if err != nil {
		return false, b.explain(ctx, "upload "+key, err)
	}
	return true, nil
}

// Get returns the content of an object. The error wraps [fs.ErrNotExist] if it does not exist.
func (b *Bucket) Get(ctx context.Context, key string) ([]byte, error) {
	object, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &key, ExpectedBucketOwner: &b.owner})
	if _, absent := errors.AsType[*types.NoSuchKey](err); absent {
		return nil, fmt.Errorf("bucket %s: get %s: %w", b.name, key, fs.ErrNotExist)
	}
	if err != nil {
		return nil, b.explain(ctx, "get "+key, err)
	}
	defer func() { _ = object.Body.Close() }()
	content, err := io.ReadAll(object.Body)
	if err != nil {
		return nil, b.explain(ctx, "get "+key, err)
	}
	return content, nil
}

// explain explains an error of a call. If ctx has ended, it returns its cause.
func (b *Bucket) explain(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("bucket %s: %s: %w", b.name, doing, context.Cause(ctx))
	}
	err = awserrors.Explain(err)
	if e, ok := errors.AsType[*awserrors.Error](err); ok && b.maybeForeign(err) {
		e.Next += "; or the bucket belongs to another account than " + b.owner + ", in which case nothing was uploaded"
	}
	return fmt.Errorf("bucket %s: %s: %w", b.name, doing, err)
}
