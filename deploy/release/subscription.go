package release

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/userrequestapi/userdata/deploy/aws/changeset"
	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
	"github.com/userrequestapi/userdata/deploy/host/command"
	"github.com/userrequestapi/userdata/deploy/release/stage"
)

const alarmEmailParameter = "AlarmEmail"

// Notification is whether alarms notify an email address.
type Notification struct {
	Email     string `json:"email"`
	Confirmed bool   `json:"confirmed"`      // whether the owner of the address has confirmed the subscription
	Next      string `json:"next,omitempty"` // what to do if it is not confirmed
}

// notification returns whether the alarms of the stage notify the address in its parameters, or nil if there is no
// address or no topic.
func (s *session) notification(
	ctx context.Context, now *stage.Release, resources []changeset.Resource,
) (*Notification, error) {
	n := &Notification{Email: now.Parameters[alarmEmailParameter]}
	if n.Email == "" {
		return nil, nil //nolint:nilnil // nobody is notified
	}
	client := sns.NewFromConfig(s.Account.Config)
	for _, resource := range resources {
		if resource.Type != "AWS::SNS::Topic" {
			continue
		}
		// Each topic has one subscription.
		topic, err := client.GetTopicAttributes(ctx, &sns.GetTopicAttributesInput{TopicArn: aws.String(resource.PhysicalID)})
		if err != nil {
			return nil, fmt.Errorf("read the subscription of %s: %w", n.Email, awserrors.Explain(err))
		}
		if n.Confirmed = topic.Attributes["SubscriptionsConfirmed"] != "0"; !n.Confirmed {
			n.Next = `its owner must open the link in the email "AWS Notification - Subscription Confirmation", which is ` +
				"valid for two days; send it again: " + s.Line.CLI(fmt.Sprintf("sns subscribe --topic-arn %s --protocol email "+
				"--notification-endpoint %s", resource.PhysicalID, command.Quote(n.Email)))
		}
		return n, nil
	}
	return nil, nil //nolint:nilnil // as above
}

// checkSubscription prints what to do if the owner of the alarms' address has not confirmed the subscription.
func (s *session) checkSubscription(ctx context.Context, now *stage.Release) {
	if now.Parameters[alarmEmailParameter] == "" {
		return
	}
	resources, err := s.Resources(ctx)
	var n *Notification
	if err == nil {
		n, err = s.notification(ctx, now, resources)
	}
	switch {
	case err != nil:
		s.Printer.Notef("%v", err)
	case n != nil && !n.Confirmed:
		s.Printer.Notef("alarms do not notify %s yet: %s", n.Email, n.Next)
	}
}
