package deployment_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/tests/emulator"
)

// restoreScript returns the AWS CLI commands in a section of docs/restore.md, for a table.
func restoreScript(t *testing.T, section, table string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(testenv.Root(t), "docs", "restore.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "\n## "+section+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	var script strings.Builder
	for i, block := range strings.Split(text, "```") {
		if i%2 == 1 && strings.HasPrefix(block, "sh\n") && strings.Contains(block, "aws dynamodb") {
			script.WriteString(strings.TrimPrefix(block, "sh\n"))
		}
	}
	return strings.Replace(script.String(), "TABLE=UserData\n", "TABLE="+table+"\n", 1)
}

// TestRestore restores the table of a stage with the commands in docs/restore.md, and switches the stage to the
// restored table. The emulator restores the current state of a table. TestStage covers the error without REPLACE_TABLE,
// and deploys a deleted stage again.
func TestRestore(t *testing.T) {
	testenv.SkipUnlessAll(t)
	t.Parallel()
	if _, err := exec.LookPath("aws"); err != nil {
		t.Skip("the AWS CLI is not installed")
	}
	c := newCheckout(t, emulator.Start(t)) // without TLS, for the CLI
	const own, restored = "UserData-" + stageName, "UserData-" + stageName + "-restored"
	tables, functions := dynamodb.NewFromConfig(c.account.Config()), lambda.NewFromConfig(c.account.Config())
	wantItem := func(table string) {
		t.Helper()
		key := map[string]dynamodbtypes.AttributeValue{"userId": &dynamodbtypes.AttributeValueMemberS{Value: "ada"}}
		found, err := tables.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &table, Key: key})
		if err != nil || len(found.Item) == 0 {
			t.Errorf("item of %s = %v, error %v, want the item", table, found, err)
		}
	}

	c.must([]string{"SMOKE=0", "DRIFT=0"}, "deploy")
	_, err := tables.PutItem(t.Context(), &dynamodb.PutItemInput{
		TableName: aws.String(own),
		Item:      map[string]dynamodbtypes.AttributeValue{"userId": &dynamodbtypes.AttributeValueMemberS{Value: "ada"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	script := restoreScript(t, "Restore to a point in time", own)
	// The CLI rejects the empty profile of the account's environment.
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c",
		"unset AWS_PROFILE; export AWS_PAGER=\n"+script)
	cmd.Env = append(os.Environ(), c.account.Env()...)
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "< ") {
		t.Fatalf("%s\nerror %v, want equal tables\n%s", script, err, out)
	}
	wantItem(restored)

	c.setStage(map[string]string{"ExistingTableName": restored})
	c.must([]string{"SMOKE=0", "DRIFT=0", "REPLACE_TABLE=" + own}, "deploy")
	name := aws.String("UserRequestAPI-" + stageName + "-get")
	got, err := functions.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: name})
	if err != nil {
		t.Fatal(err)
	}
	if table := got.Environment.Variables["TABLE_NAME"]; table != restored {
		t.Errorf("the function uses the table %s, want %s", table, restored)
	}
	wantItem(own)
}
