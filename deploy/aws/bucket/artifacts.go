// Package bucket keeps what is deployed in a bucket of the account: the functions' packages and the templates.
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

// Bucket is the one bucket for all stages in an account and Region. It is safe for concurrent use, by several deployers too.
//
// Every call but CreateBucket names the account that must own the bucket (ExpectedBucketOwner): anybody can create a
// bucket of any name in the global namespace, and nothing is read from, or put into, somebody else's.
type Bucket struct {
	name      string
	namespace types.BucketNamespace
	owner     string // the account
	partition string
	region    string
	url       *url.URL
	client    *s3.Client
}

// Open returns the bucket of an account and Region, whether it exists or not.
//
// The bucket is in the account regional namespace, where only the account can create buckets ("Namespaces for general
// purpose buckets", Amazon S3 User Guide). A bucket that an earlier version has created in the global namespace is kept
// as long as it exists.
func Open(ctx context.Context, a *account.Account) (*Bucket, error) {
	global, err := newBucket(a, types.BucketNamespaceGlobal)
	if err != nil || slices.Contains(withoutNamespace(), a.Region) {
		return global, err
	}
	regional, err := newBucket(a, types.BucketNamespaceAccountRegional)
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

// withoutNamespace returns the Regions that have no account regional namespaces.
func withoutNamespace() []string { return []string{"me-central-1", "me-south-1"} }

func newBucket(a *account.Account, namespace types.BucketNamespace) (*Bucket, error) {
	client := s3.NewFromConfig(a.Config, func(o *s3.Options) {
		o.UsePathStyle = o.BaseEndpoint != nil // names below a given host resolve to nothing
	})
	b := &Bucket{
		name:      fmt.Sprintf("userrequestapi-artifacts-%s-%s", a.ID, a.Region),
		namespace: namespace,
		owner:     a.ID,
		partition: a.Partition,
		region:    a.Region,
		client:    client,
	}
	if namespace == types.BucketNamespaceAccountRegional {
		b.name += "-an" // the account, the Region and this are the suffix that S3 demands
	}
	endpoint, err := s3.NewDefaultEndpointResolverV2().ResolveEndpoint(context.Background(), s3.EndpointParameters{
		Bucket: &b.name, Region: &b.region, Endpoint: client.Options().BaseEndpoint,
		ForcePathStyle: aws.Bool(client.Options().UsePathStyle),
	}.WithDefaults())
	if err != nil {
		return nil, fmt.Errorf("find the address of the bucket %s: %w", b.name, err)
	}
	b.url = &endpoint.URI
	return b, nil
}

// exists reports whether the bucket exists and belongs to the account.
func (b *Bucket) exists(ctx context.Context) (bool, error) {
	_, err := b.client.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: &b.name, ExpectedBucketOwner: &b.owner})
	switch code := awserrors.Code(err); {
	case err == nil, code == "NoSuchTagSet":
		return true, nil
	case code == "NoSuchBucket", b.foreign(err):
		return false, nil
	default:
		return false, b.explain(ctx, "look for it", err)
	}
}

// foreign reports whether an error may mean that the bucket belongs to another account: in the global namespace, it can
// be in another Region, too. S3 names the action that a principal of the account lacks, and none to others.
func (b *Bucket) foreign(err error) bool {
	e, ok := errors.AsType[*awserrors.Error](awserrors.Explain(err))
	return ok && b.namespace == types.BucketNamespaceGlobal &&
		(e.Kind == awserrors.Region || e.Kind == awserrors.Denied && !strings.Contains(e.Err.Error(), "is not authorized"))
}

// Name returns the bucket's name.
func (b *Bucket) Name() string { return b.name }

// URL returns an object's address, as CloudFormation takes a TemplateURL.
func (b *Bucket) URL(key string) string { return b.url.JoinPath(key).String() }

// Upload puts an object into the bucket, unless it is there with this content already. An upload that is interrupted leaves
// nothing.
func (b *Bucket) Upload(ctx context.Context, key string, content []byte) (uploaded bool, err error) {
	digest := sha256.Sum256(content)
	checksum := base64.StdEncoding.EncodeToString(digest[:])
	there, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{
		Bucket: &b.name, Key: &key, ExpectedBucketOwner: &b.owner, ChecksumMode: types.ChecksumModeEnabled,
	})
	switch _, absent := errors.AsType[*types.NotFound](err); {
	case err == nil && aws.ToString(there.ChecksumSHA256) == checksum:
		return false, nil
	case err != nil && !absent:
		return false, b.explain(ctx, "look for "+key+" (s3:GetObject and s3:ListBucket)", err)
	}
	_, err = b.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &b.name, Key: &key, ExpectedBucketOwner: &b.owner,
		Body: bytes.NewReader(content), ChecksumSHA256: &checksum, // by which S3 sees whether all of it has arrived
	})
	if err != nil {
		return false, b.explain(ctx, "upload "+key, err)
	}
	return true, nil
}

// Get returns an object. The error is an [fs.ErrNotExist] where there is none.
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

// explain says what an error of a call means, the end of ctx as its cause.
func (b *Bucket) explain(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("bucket %s: %s: %w", b.name, doing, context.Cause(ctx))
	}
	err = awserrors.Explain(err)
	if e, ok := errors.AsType[*awserrors.Error](err); ok && b.foreign(err) {
		e.Next += "; or the bucket belongs to another account than " + b.owner + ", which can see what is put there: then nothing was"
	}
	return fmt.Errorf("bucket %s: %s: %w", b.name, doing, err)
}
