package bucket

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// settingsTag is the key of the tag with the digest of the bucket's settings. It is set last: Ensure applies all
// settings to a bucket without the tag or with another digest.
const settingsTag = "Settings"

// Lifecycle settings.
const (
	incompleteUploadDays  = 1
	noncurrentVersionDays = 30
)

// defaultRegion is the Region of a bucket without a LocationConstraint; CreateBucket rejects it as one (CreateBucket,
// Amazon S3 API Reference).
const defaultRegion = "us-east-1"

// Ensure creates the bucket if it does not exist, and applies its settings: private, encrypted, versioned, TLS only. If
// nothing needs to change, it makes one API call. A later call completes an interrupted one. created reports whether
// this call created the bucket.
func (b *Bucket) Ensure(ctx context.Context) (created bool, err error) {
	wanted := b.settings()
	digest, err := wanted.digest()
	if err != nil {
		return false, fmt.Errorf("bucket %s: %w", b.name, err)
	}
	tags, exists, err := b.tags(ctx)
	if err == nil && !exists {
		created, err = b.create(ctx)
	}
	if err != nil || hasTag(tags, settingsTag, digest) {
		return false, err
	}
	if err := b.apply(ctx, wanted); err != nil {
		return created, err
	}
	tags = setTag(setTag(tags, "Service", b.service), settingsTag, digest) // keeps tags of others
	_, err = b.client.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{
		Bucket: &b.name, ExpectedBucketOwner: &b.owner, Tagging: &types.Tagging{TagSet: tags},
	}, retryConflicts)
	if err != nil {
		return created, b.explain(ctx, "tag it", err)
	}
	return created, nil
}

// create creates the bucket. created is false if a concurrent deployment of this account has created it.
func (b *Bucket) create(ctx context.Context) (created bool, err error) {
	input := &s3.CreateBucketInput{Bucket: &b.name, ObjectOwnership: types.ObjectOwnershipBucketOwnerEnforced}
	if b.namespace != types.BucketNamespaceGlobal { // global is the default, and the only namespace in some Regions
		input.BucketNamespace = b.namespace
	}
	if b.region != defaultRegion {
		input.CreateBucketConfiguration = &types.CreateBucketConfiguration{
			LocationConstraint: types.BucketLocationConstraint(b.region),
		}
	}
	_, err = b.client.CreateBucket(ctx, input, retryConflicts)
	if _, ours := errors.AsType[*types.BucketAlreadyOwnedByYou](err); ours {
		return false, nil
	}
	if _, taken := errors.AsType[*types.BucketAlreadyExists](err); taken {
		return false, fmt.Errorf("bucket %s: want a bucket of the account %s, got one of another account; "+
			"nothing was uploaded: deploy to another Region, and report the bucket to AWS: %w", b.name, b.owner, err)
	}
	if err != nil {
		return false, b.explain(ctx, "create it", err)
	}
	return true, nil
}

// settings has the bucket's settings in the types of the S3 API.
type settings struct {
	Ownership    types.OwnershipControls
	PublicAccess types.PublicAccessBlockConfiguration
	Encryption   types.ServerSideEncryptionConfiguration
	Versioning   types.VersioningConfiguration
	Lifecycle    types.BucketLifecycleConfiguration
	Policy       policy
}

type policy struct {
	Version   string
	Statement []statement
}

type statement struct {
	Sid, Effect, Principal, Action string
	Resource                       []string
	Condition                      map[string]map[string]string
}

func (b *Bucket) settings() settings {
	arn := fmt.Sprintf("arn:%s:s3:::%s", b.partition, b.name)
	return settings{
		Ownership: types.OwnershipControls{
			Rules: []types.OwnershipControlsRule{{ObjectOwnership: types.ObjectOwnershipBucketOwnerEnforced}},
		},
		PublicAccess: types.PublicAccessBlockConfiguration{
			BlockPublicAcls: aws.Bool(true), BlockPublicPolicy: aws.Bool(true),
			IgnorePublicAcls: aws.Bool(true), RestrictPublicBuckets: aws.Bool(true),
		},
		Encryption: types.ServerSideEncryptionConfiguration{Rules: []types.ServerSideEncryptionRule{
			{
				ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{
					SSEAlgorithm: types.ServerSideEncryptionAes256,
				},
			},
		}},
		Versioning: types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
		// Current versions do not expire: a rollback needs the packages of the earlier release.
		Lifecycle: types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{
			{
				ID:     aws.String("CleanUp"),
				Status: types.ExpirationStatusEnabled,
				Filter: &types.LifecycleRuleFilter{Prefix: aws.String("")},
				AbortIncompleteMultipartUpload: &types.AbortIncompleteMultipartUpload{
					DaysAfterInitiation: aws.Int32(incompleteUploadDays),
				},
				NoncurrentVersionExpiration: &types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(noncurrentVersionDays)},
				Expiration:                  &types.LifecycleExpiration{ExpiredObjectDeleteMarker: aws.Bool(true)},
			},
		}},
		Policy: policy{Version: "2012-10-17", Statement: []statement{{
			Sid: "TLSOnly", Effect: "Deny", Principal: "*", Action: "s3:*", Resource: []string{arn, arn + "/*"},
			Condition: map[string]map[string]string{"Bool": {"aws:SecureTransport": "false"}},
		}}},
	}
}

// digest returns a digest of the settings, 16 hexadecimal digits.
func (s settings) digest() (string, error) {
	encoded, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("encode its settings: %w", err)
	}
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:8]), nil
}

func (b *Bucket) apply(ctx context.Context, s settings) error {
	document, err := json.Marshal(s.Policy)
	if err != nil {
		return fmt.Errorf("bucket %s: encode its policy: %w", b.name, err)
	}
	name, owner := &b.name, &b.owner
	steps := []struct {
		doing string
		call  func() error
	}{
		{"set its object ownership", func() error {
			_, err := b.client.PutBucketOwnershipControls(ctx, &s3.PutBucketOwnershipControlsInput{
				Bucket: name, ExpectedBucketOwner: owner, OwnershipControls: &s.Ownership,
			}, retryConflicts)
			return err
		}},
		{"block public access", func() error {
			_, err := b.client.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{
				Bucket: name, ExpectedBucketOwner: owner, PublicAccessBlockConfiguration: &s.PublicAccess,
			}, retryConflicts)
			return err
		}},
		{"encrypt it", func() error {
			_, err := b.client.PutBucketEncryption(ctx, &s3.PutBucketEncryptionInput{
				Bucket: name, ExpectedBucketOwner: owner, ServerSideEncryptionConfiguration: &s.Encryption,
			}, retryConflicts)
			return err
		}},
		{"turn on versioning", func() error {
			_, err := b.client.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
				Bucket: name, ExpectedBucketOwner: owner, VersioningConfiguration: &s.Versioning,
			}, retryConflicts)
			return err
		}},
		{"set its lifecycle configuration", func() error {
			_, err := b.client.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{
				Bucket: name, ExpectedBucketOwner: owner, LifecycleConfiguration: &s.Lifecycle,
			}, retryConflicts)
			return err
		}},
		{"set its policy", func() error {
			_, err := b.client.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{
				Bucket: name, ExpectedBucketOwner: owner, Policy: aws.String(string(document)),
			}, retryConflicts)
			return err
		}},
	}
	for _, step := range steps {
		if err := step.call(); err != nil {
			return b.explain(ctx, step.doing, err)
		}
	}
	return nil
}

// retryConflicts also retries OperationAborted (another deployment changes the bucket) and NoSuchBucket (the bucket was
// just created).
func retryConflicts(o *s3.Options) {
	o.Retryer = retry.AddWithErrorCodes(o.Retryer, "OperationAborted", "NoSuchBucket")
}

func hasTag(tags []types.Tag, key, value string) bool {
	return slices.ContainsFunc(tags, func(t types.Tag) bool {
		return aws.ToString(t.Key) == key && aws.ToString(t.Value) == value
	})
}

// setTag returns a copy of tags in which key has the value.
func setTag(tags []types.Tag, key, value string) []types.Tag {
	others := slices.DeleteFunc(slices.Clone(tags), func(t types.Tag) bool { return aws.ToString(t.Key) == key })
	return append(others, types.Tag{Key: &key, Value: &value})
}
