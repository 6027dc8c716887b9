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

	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
)

// settingsTag is put on the bucket last of all: its value tells that every setting is in place, and which ones these are.
// Whoever takes it off has them all put again.
const settingsTag = "Settings"

// How long what is no longer of use is kept.
const (
	incompleteUploadDays  = 1
	noncurrentVersionDays = 30
)

// The only Region that is not named where a bucket is made ("CreateBucket").
const unnamedRegion = "us-east-1"

// Ensure makes the bucket if it is absent, and gives it its settings: private, encrypted, versioned, by TLS only. Where all is
// right that takes one call. What an interrupted Ensure has left out, the next one adds. made tells whether the bucket was absent.
func (b *Bucket) Ensure(ctx context.Context) (made bool, err error) {
	wanted := b.settings()
	version, err := wanted.digest()
	if err != nil {
		return false, fmt.Errorf("bucket %s: %w", b.name, err)
	}
	tagging, err := b.client.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: &b.name, ExpectedBucketOwner: &b.owner})
	var tags []types.Tag
	switch awserrors.Code(err) {
	case "NoSuchBucket":
		if made, err = b.create(ctx); err != nil {
			return false, err
		}
	case "NoSuchTagSet":
	default:
		if err != nil {
			return false, b.explain(ctx, "look for it", err)
		}
		if tagged(tagging.TagSet, settingsTag, version) {
			return false, nil
		}
		tags = tagging.TagSet // which others may have put there
	}
	if err := b.put(ctx, wanted); err != nil {
		return made, err
	}
	tags = tag(tag(tags, "Service", "UserRequestAPI"), settingsTag, version)
	_, err = b.client.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{
		Bucket: &b.name, ExpectedBucketOwner: &b.owner, Tagging: &types.Tagging{TagSet: tags},
	}, patient)
	if err != nil {
		return made, b.explain(ctx, "tag it", err)
	}
	return made, nil
}

// create makes the bucket; made is false where somebody else of this account has made it in the meantime.
func (b *Bucket) create(ctx context.Context) (made bool, err error) {
	input := &s3.CreateBucketInput{Bucket: &b.name, ObjectOwnership: types.ObjectOwnershipBucketOwnerEnforced}
	if b.namespace != types.BucketNamespaceGlobal { // which is the default, and the only one that every Region knows
		input.BucketNamespace = b.namespace
	}
	if b.region != unnamedRegion {
		input.CreateBucketConfiguration = &types.CreateBucketConfiguration{
			LocationConstraint: types.BucketLocationConstraint(b.region),
		}
	}
	_, err = b.client.CreateBucket(ctx, input, patient)
	if _, ours := errors.AsType[*types.BucketAlreadyOwnedByYou](err); ours {
		return false, nil
	}
	if _, taken := errors.AsType[*types.BucketAlreadyExists](err); taken {
		return false, fmt.Errorf("bucket %s: it belongs to another account than %s, so nothing is put there: "+
			"deploy to another Region, and tell AWS of it: %w", b.name, b.owner, err)
	}
	if err != nil {
		return false, b.explain(ctx, "make it", err)
	}
	return true, nil
}

// settings are all that the bucket is told, in the terms of S3's API.
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
		Encryption: types.ServerSideEncryptionConfiguration{Rules: []types.ServerSideEncryptionRule{{
			ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{SSEAlgorithm: types.ServerSideEncryptionAes256},
		}}},
		Versioning: types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
		// What is current stays: a stack that goes back to an earlier release needs the packages of that.
		Lifecycle: types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{{
			ID:                             aws.String("remnants"),
			Status:                         types.ExpirationStatusEnabled,
			Filter:                         &types.LifecycleRuleFilter{Prefix: aws.String("")},
			AbortIncompleteMultipartUpload: &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(incompleteUploadDays)},
			NoncurrentVersionExpiration:    &types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(noncurrentVersionDays)},
			Expiration:                     &types.LifecycleExpiration{ExpiredObjectDeleteMarker: aws.Bool(true)},
		}}},
		Policy: policy{Version: "2012-10-17", Statement: []statement{{
			Sid: "TLSOnly", Effect: "Deny", Principal: "*", Action: "s3:*", Resource: []string{arn, arn + "/*"},
			Condition: map[string]map[string]string{"Bool": {"aws:SecureTransport": "false"}},
		}}},
	}
}

// digest changes with any of the settings.
func (s settings) digest() (string, error) {
	encoded, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("encode its settings: %w", err)
	}
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:8]), nil
}

// put gives the bucket all settings, whichever it has.
func (b *Bucket) put(ctx context.Context, s settings) error {
	document, err := json.Marshal(s.Policy)
	if err != nil {
		return fmt.Errorf("bucket %s: encode its policy: %w", b.name, err)
	}
	name, owner := &b.name, &b.owner
	steps := []struct {
		doing string
		call  func() error
	}{
		{"have it own its objects", func() error {
			_, err := b.client.PutBucketOwnershipControls(ctx, &s3.PutBucketOwnershipControlsInput{
				Bucket: name, ExpectedBucketOwner: owner, OwnershipControls: &s.Ownership,
			}, patient)
			return err
		}},
		{"block public access", func() error {
			_, err := b.client.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{
				Bucket: name, ExpectedBucketOwner: owner, PublicAccessBlockConfiguration: &s.PublicAccess,
			}, patient)
			return err
		}},
		{"encrypt it", func() error {
			_, err := b.client.PutBucketEncryption(ctx, &s3.PutBucketEncryptionInput{
				Bucket: name, ExpectedBucketOwner: owner, ServerSideEncryptionConfiguration: &s.Encryption,
			}, patient)
			return err
		}},
		{"keep versions", func() error {
			_, err := b.client.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
				Bucket: name, ExpectedBucketOwner: owner, VersioningConfiguration: &s.Versioning,
			}, patient)
			return err
		}},
		{"clear away remnants", func() error {
			_, err := b.client.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{
				Bucket: name, ExpectedBucketOwner: owner, LifecycleConfiguration: &s.Lifecycle,
			}, patient)
			return err
		}},
		{"refuse what is not TLS", func() error {
			_, err := b.client.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{
				Bucket: name, ExpectedBucketOwner: owner, Policy: aws.String(string(document)),
			}, patient)
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

// patient repeats what S3 refuses while another deployer changes the bucket, or while not all of S3 knows of a new one.
func patient(o *s3.Options) {
	o.Retryer = retry.AddWithErrorCodes(o.Retryer, "OperationAborted", "NoSuchBucket")
}

func tagged(tags []types.Tag, key, value string) bool {
	return slices.ContainsFunc(tags, func(t types.Tag) bool {
		return aws.ToString(t.Key) == key && aws.ToString(t.Value) == value
	})
}

// tag returns the tags with this one among them.
func tag(tags []types.Tag, key, value string) []types.Tag {
	others := slices.DeleteFunc(slices.Clone(tags), func(t types.Tag) bool { return aws.ToString(t.Key) == key })
	return append(others, types.Tag{Key: &key, Value: &value})
}
