package users

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-xray-sdk-go/xray"
	"github.com/aws/smithy-go/middleware"
)

// User is an item of the table: its JSON is one attribute, so that numbers keep their digits.
type User struct{ ID, Document string }

// ETag returns the entity tag, which identifies the content.
func (u User) ETag() string { return fmt.Sprintf(`"%x"`, sha256.Sum256([]byte(u.Document)))[:33] + `"` }

// Decode returns the user in the body of the request. Its id is that of the request, that of the body, or a new one.
func (r Request) Decode() (User, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(r.Body), &members); err != nil || members == nil {
		return User{}, &Problem{http.StatusBadRequest, "InvalidBody", "The body is not a JSON object."}
	}
	u := User{ID: r.ID}
	if sent, ok := members["userId"]; ok && u.ID == "" {
		if err := json.Unmarshal(sent, &u.ID); err != nil || u.ID == "" {
			return User{}, &Problem{http.StatusBadRequest, "InvalidUser", "The userId is not a string, or empty."}
		}
	}
	u.ID = cmp.Or(u.ID, rand.Text())
	id, err := json.Marshal(u.ID)
	if err != nil {
		return User{}, err
	}
	members["userId"] = id
	document, err := json.Marshal(members)
	u.Document = string(document)
	return u, err
}

// Table is the table of users.
type Table struct {
	client *dynamodb.Client
	name   *string
}

// open returns the table in the environment variables of the function.
func open() *Table {
	t := &Table{name: aws.String(os.Getenv("TABLE_NAME"))}
	options := dynamodb.Options{
		Region: os.Getenv("AWS_REGION"),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{
				AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"),
				SessionToken: os.Getenv("AWS_SESSION_TOKEN"),
			}, nil
		}),
		APIOptions: []func(*middleware.Stack) error{func(stack *middleware.Stack) error {
			return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("Trace", t.trace), middleware.After)
		}},
	}
	endpoint := cmp.Or(os.Getenv("DYNAMODB_ENDPOINT"), os.Getenv("AWS_ENDPOINT_URL_DYNAMODB"), os.Getenv("AWS_ENDPOINT_URL"))
	if endpoint != "" {
		options.BaseEndpoint, options.AccountIDEndpointMode = &endpoint, aws.AccountIDEndpointModeDisabled
	}
	t.client = dynamodb.New(options)
	return t
}

// trace adds a subsegment for a call.
func (t *Table) trace(
	ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
) (middleware.InitializeOutput, middleware.Metadata, error) {
	ctx, span := xray.BeginSubsegment(ctx, awsmiddleware.GetServiceID(ctx))
	span.Lock()
	span.Namespace = "aws"
	block := span.GetAWS()
	block["operation"], block["table_name"] = awsmiddleware.GetOperationName(ctx), *t.name
	span.Unlock()
	defer span.Close(nil)
	return next.HandleInitialize(ctx, in)
}

type item = map[string]types.AttributeValue

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func user(i item) User {
	id, _ := i["userId"].(*types.AttributeValueMemberS)
	document, _ := i["document"].(*types.AttributeValueMemberS)
	if id == nil || document == nil {
		return User{}
	}
	return User{id.Value, document.Value}
}

// Get returns the user with the id of the request. etags, if not empty, is the If-Match of a write.
func (r Request) Get(ctx context.Context, etags string) (User, error) {
	out, err := r.Table.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: r.Table.name, Key: item{"userId": text(r.ID)}, ConsistentRead: aws.Bool(true),
	})
	switch {
	case err != nil:
		return User{}, err
	case out.Item == nil:
		return User{}, &Problem{http.StatusNotFound, "UserNotFound", "There is no such user."}
	}
	u := user(out.Item)
	if etags != "" && etags != "*" && etags != u.ETag() {
		return User{}, changed()
	}
	return u, nil
}

func changed() *Problem {
	return &Problem{http.StatusPreconditionFailed, "PreconditionFailed", "The user has another ETag."}
}

// Create creates a user.
func (t *Table) Create(ctx context.Context, u User) error {
	_, err := t.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: t.name, Item: item{"userId": text(u.ID), "document": text(u.Document)},
		ConditionExpression: aws.String("attribute_not_exists(userId)"),
	})
	return onConflict(err, &Problem{http.StatusConflict, "UserExists", "There is a user with this id."})
}

// Replace replaces a user that has not changed since it was read.
func (t *Table) Replace(ctx context.Context, previous, u User) error {
	_, err := t.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: t.name, Item: item{"userId": text(u.ID), "document": text(u.Document)},
		ConditionExpression: aws.String("document = :d"), ExpressionAttributeValues: item{":d": text(previous.Document)},
	})
	return onConflict(err, changed())
}

// Delete deletes a user that has not changed since it was read.
func (t *Table) Delete(ctx context.Context, u User) error {
	_, err := t.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: t.name, Key: item{"userId": text(u.ID)},
		ConditionExpression: aws.String("document = :d"), ExpressionAttributeValues: item{":d": text(u.Document)},
	})
	return onConflict(err, changed())
}

// onConflict returns problem if the condition of a write failed.
func onConflict(err error, problem *Problem) error {
	if _, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		return problem
	}
	return err
}

// List returns at most limit users.
func (t *Table) List(ctx context.Context, cursor string, limit int32) (page []User, next string, err error) {
	in := &dynamodb.ScanInput{TableName: t.name, Limit: &limit}
	if cursor != "" {
		in.ExclusiveStartKey = item{"userId": text(cursor)}
	}
	out, err := t.client.Scan(ctx, in)
	if err != nil {
		return nil, "", err
	}
	var users []User
	for _, i := range out.Items {
		users = append(users, user(i))
	}
	if last, ok := out.LastEvaluatedKey["userId"].(*types.AttributeValueMemberS); ok {
		next = last.Value
	}
	return users, next, nil
}
