package changeset

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// Drift is a resource that was changed outside of CloudFormation and differs from the template.
type Drift struct {
	LogicalID  string   `json:"logicalId"`
	Type       string   `json:"type"`
	Status     string   `json:"status"`     // MODIFIED or DELETED
	Properties []string `json:"properties"` // paths of the properties that differ, such as /Timeout, sorted
}

// Deleted reports whether the resource no longer exists.
func (d Drift) Deleted() bool { return d.Status == string(types.StackResourceDriftStatusDeleted) }

// Drift runs CloudFormation's drift detection and returns the resources that differ from the template, never nil
// without an error. Some resource types do not support drift detection.
func (s *Stack) Drift(ctx context.Context) ([]Drift, error) {
	detection, err := s.client.DetectStackDrift(ctx, &cloudformation.DetectStackDriftInput{StackName: &s.name})
	if isNotFound(err) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, s.wrap(ctx, "compare", err)
	}
	for {
		var status *cloudformation.DescribeStackDriftDetectionStatusOutput
		err := s.retry(ctx, func(ctx context.Context) (err error) {
			status, err = s.client.DescribeStackDriftDetectionStatus(ctx,
				&cloudformation.DescribeStackDriftDetectionStatusInput{StackDriftDetectionId: detection.StackDriftDetectionId})
			return err
		})
		if err != nil {
			return nil, s.wrap(ctx, "compare", err)
		}
		switch status.DetectionStatus {
		case types.StackDriftDetectionStatusDetectionInProgress:
			if err := s.wait(ctx); err != nil {
				return nil, s.wrap(ctx, "compare", err)
			}
		case types.StackDriftDetectionStatusDetectionFailed: // for some resources; the others have results
			drifts, err := s.drifts(ctx)
			return drifts, errors.Join(err, s.wrap(ctx, "compare", errors.New(aws.ToString(status.DetectionStatusReason))))
		default:
			return s.drifts(ctx)
		}
	}
}

// driftStatus returns status if it means that a resource of a change set has drifted, otherwise "".
func driftStatus(status types.StackResourceDriftStatus) string {
	switch status {
	case types.StackResourceDriftStatusModified, types.StackResourceDriftStatusDeleted:
		return string(status)
	default:
		return ""
	}
}

func (s *Stack) drifts(ctx context.Context) ([]Drift, error) {
	drifts := []Drift{}
	pages := cloudformation.NewDescribeStackResourceDriftsPaginator(
		s.client,
		&cloudformation.DescribeStackResourceDriftsInput{
			StackName: &s.name,
			StackResourceDriftStatusFilters: []types.StackResourceDriftStatus{
				types.StackResourceDriftStatusModified, types.StackResourceDriftStatusDeleted,
			},
		},
	)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, s.wrap(ctx, "compare", err)
		}
		for _, d := range page.StackResourceDrifts {
			drift := Drift{
				LogicalID:  aws.ToString(d.LogicalResourceId),
				Type:       aws.ToString(d.ResourceType),
				Status:     string(d.StackResourceDriftStatus),
				Properties: []string{},
			}
			for _, p := range d.PropertyDifferences {
				drift.Properties = append(drift.Properties, aws.ToString(p.PropertyPath))
			}
			slices.Sort(drift.Properties)
			drifts = append(drifts, drift)
		}
	}
	slices.SortFunc(drifts, func(a, b Drift) int { return strings.Compare(a.LogicalID, b.LogicalID) })
	return drifts, nil
}
