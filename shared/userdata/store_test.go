package userdata_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/userrequestapi/userdata/shared/user"
	"github.com/userrequestapi/userdata/shared/user/usertest"
	"github.com/userrequestapi/userdata/shared/userdata"
)

func TestStore(t *testing.T) {
	t.Parallel()
	client := dynamoDB(t)
	usertest.Run(t, func(t *testing.T) user.Store { return userdata.New(client, newTable(t, client)) })
}

// dynamoDB returns a client of DynamoDB Local, or skips the test if there is none.
func dynamoDB(t *testing.T) *dynamodb.Client {
	t.Helper()
	endpoint := os.Getenv("DYNAMODB_ENDPOINT")
	if testing.Short() || endpoint == "" {
		t.Skip("no DynamoDB Local: run go tool mage test, or set DYNAMODB_ENDPOINT to the URL of a running one")
	}
	return userdata.NewClient(userdata.ClientConfig{
		Region:      cmp.Or(os.Getenv("AWS_REGION"), "eu-central-1"),
		Endpoint:    endpoint,
		Credentials: testCredentials(),
	})
}

func testCredentials() aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
	})
}

// newTable creates a table with the service's key schema and a unique name, and deletes it after the test.
func newTable(t *testing.T, client *dynamodb.Client) string {
	t.Helper()
	table := "Test" + rand.Text()
	_, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName:   &table,
		BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("userId"), AttributeType: types.ScalarAttributeTypeS},
		},
		KeySchema: []types.KeySchemaElement{{AttributeName: aws.String("userId"), KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if _, err := client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &table}); err != nil {
			t.Errorf("delete table %s: %v", table, err)
		}
	})
	return table
}
