package release

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/userrequestapi/userdata/deploy/aws/changeset"
	awserrors "github.com/userrequestapi/userdata/deploy/aws/errors"
	"github.com/userrequestapi/userdata/deploy/host/command"
	"github.com/userrequestapi/userdata/deploy/release/stage"
)

const alarmEmailParameter = "AlarmEmail"

// Notification is the email subscription of the alarms. The zero value means that there is none.
type Notification struct {
	Email     string `json:"email"`
	Confirmed bool   `json:"confirmed"`      // whether the owner of the address has confirmed the subscription
	Next      string `json:"next,omitempty"` // what to do if it is not confirmed
}

// notification returns the address in the parameters of the stage and the state of its subscription. It returns the
// zero value if there is no address or no topic.
func (s *session) notification(
	ctx context.Context, now *stage.Release, resources []changeset.Resource,
) (Notification, error) {
	// Each topic has one subscription.
	topic := slices.IndexFunc(resources, func(r changeset.Resource) bool { return r.Type == "AWS::SNS::Topic" })
	email := now.Parameters[alarmEmailParameter]
	if email == "" || topic < 0 {
		return Notification{}, nil
	}
	arn := resources[topic].PhysicalID
	attributes, err := sns.NewFromConfig(s.Account.Config).GetTopicAttributes(ctx,
		&sns.GetTopicAttributesInput{TopicArn: &arn})
	if err != nil {
		return Notification{}, fmt.Errorf("read the subscription of %s: %w", email, awserrors.Explain(err))
	}
	n := Notification{Email: email, Confirmed: attributes.Attributes["SubscriptionsConfirmed"] != "0"}
	if !n.Confirmed {
		n.Next = `its owner must open the link in the email "AWS Notification - Subscription Confirmation", which is ` +
			"valid for two days; send it again: " + s.Line.CLI(fmt.Sprintf("sns subscribe --topic-arn %s --protocol email "+
			"--notification-endpoint %s", arn, command.Quote(email)))
	}
	return n, nil
}

// checkSubscription prints what to do if the owner of the alarms' address has not confirmed the subscription.
func (s *session) checkSubscription(ctx context.Context, now *stage.Release) {
	if now.Parameters[alarmEmailParameter] == "" {
		return
	}
	resources, err := s.Resources(ctx)
	var n Notification
	if err == nil {
		n, err = s.notification(ctx, now, resources)
	}
	switch {
	case err != nil:
		s.Printer.Notef("%v", err)
	case n.Next != "":
		s.Printer.Notef("alarms do not notify %s yet: %s", n.Email, n.Next)
	}
}
