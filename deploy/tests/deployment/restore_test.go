package deployment_test

import (
	_ "embed"
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
	"github.com/userrequestapi/userdata/deploy/host/tools"
	"github.com/userrequestapi/userdata/deploy/tests/emulator"
)

//go:embed requirements.txt
var awsCLI []byte

// restoreScripts are the AWS CLI commands in a section of docs/restore.md.
type restoreScripts struct{ restore, compare, copyItem string }

// readRestoreScripts returns the commands that restore and compare a table, and those that copy an item.
func readRestoreScripts(t *testing.T, section, table, id string) (s restoreScripts) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(testenv.Root(t), "docs", "restore.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "\n## "+section+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	for i, block := range strings.Split(text, "```") {
		script, ok := strings.CutPrefix(block, "sh\n")
		switch {
		case i%2 == 0 || !ok || !strings.Contains(block, "aws dynamodb"):
		case strings.Contains(script, "put-item"):
			s.copyItem += strings.ReplaceAll(script, `"ID"`, `"`+id+`"`)
		case strings.Contains(script, "diff "):
			s.compare += script
		default:
			s.restore += script
		}
	}
	s.restore = strings.Replace(s.restore, "TABLE=UserData\n", "TABLE="+table+"\n", 1)
	return s
}

// TestRestore restores the table of a stage with the commands in docs/restore.md, and switches the stage to the
// restored table. The emulator restores the current state of a table. TestStage covers the error without REPLACE_TABLE,
// and deploys a deleted stage again.
func TestRestore(t *testing.T) {
	testenv.SkipUnlessAll(t)
	t.Parallel()
	cli, err := tools.Python(t.Context(), awsCLI, func(step string) { t.Log(step) })
	testenv.SkipAbsent(t, err)
	c := newCheckout(t, emulator.Start(t)) // without TLS, for the CLI
	const own, restored = "UserData-" + stageName, "UserData-" + stageName + "-restored"
	tables, functions := dynamodb.NewFromConfig(c.account.Config()), lambda.NewFromConfig(c.account.Config())
	putItem := func(id string) {
		t.Helper()
		_, err := tables.PutItem(t.Context(), &dynamodb.PutItemInput{
			TableName: aws.String(own),
			Item: map[string]dynamodbtypes.AttributeValue{
				"userId":              &dynamodbtypes.AttributeValueMemberS{Value: id},
				"_userrequestapi_rev": &dynamodbtypes.AttributeValueMemberS{Value: "revision of " + id},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	wantItem := func(table, id string) {
		t.Helper()
		key := map[string]dynamodbtypes.AttributeValue{"userId": &dynamodbtypes.AttributeValueMemberS{Value: id}}
		found, err := tables.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &table, Key: key})
		if err != nil || len(found.Item) == 0 {
			t.Errorf("item of %s = %v, error %v, want the item", table, found, err)
		}
	}

	c.must([]string{"SMOKE=0", "DRIFT=0"}, "deploy")
	putItem("ada")
	scripts := readRestoreScripts(t, "Restore to a point in time", own, "grace")
	run := func(script string) string {
		t.Helper()
		// The CLI rejects the empty profile of the account's environment.
		cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c",
			"unset AWS_PROFILE; export AWS_PAGER=\n"+script)
		cmd.Env = append(os.Environ(), c.account.Env()...)
		cmd.Env = append(cmd.Env, "PATH="+filepath.Dir(cli.Program("aws"))+string(filepath.ListSeparator)+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s\nerror %v\n%s", script, err, out)
		}
		return string(out)
	}
	if out := run(scripts.restore + scripts.compare); strings.Contains(out, "< ") || strings.Contains(out, "> ") {
		t.Fatalf("%s\nwant equal tables\n%s", scripts.restore+scripts.compare, out)
	}
	wantItem(restored, "ada")
	putItem("grace")
	out := run("TABLE=" + own + " restored=" + restored + "\n" + scripts.compare + scripts.copyItem + scripts.compare)
	if strings.Count(out, "< grace\trevision of grace\n") != 1 || strings.Contains(out, "ada") {
		t.Errorf("got %q, want the difference grace, and none after it was copied", out)
	}
	wantItem(restored, "grace")

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
	wantItem(own, "ada")
}
