package emulator_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"go.uber.org/goleak"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/tests/emulator"
)

// asChild is the environment variable that makes this program print only its account and Region.
const asChild = "TEST_AS_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(asChild) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	if err := printAccount(context.Background()); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func printAccount(ctx context.Context) error {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	identity, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return err
	}
	fmt.Println(aws.ToString(identity.Account), "in", cfg.Region)
	return nil
}

// starts returns the functions that start an account, by name.
func starts() map[string]func(testing.TB) *emulator.Account {
	return map[string]func(testing.TB) *emulator.Account{"Start": emulator.Start, "StartTLS": emulator.StartTLS}
}

func TestStart_SeparateAccounts(t *testing.T) {
	t.Parallel()
	one, other := emulator.Start(t), emulator.Start(t)
	createBucket(t, one, "packages")
	for account, want := range map[*emulator.Account]int{one: 1, other: 0} {
		buckets, err := s3.NewFromConfig(account.Config()).ListBuckets(t.Context(), &s3.ListBucketsInput{})
		if err != nil {
			t.Fatal(err)
		}
		if len(buckets.Buckets) != want {
			t.Errorf("got %d buckets, want %d", len(buckets.Buckets), want)
		}
	}
}

func TestStart_ListensOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for name, start := range starts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			endpoint, err := url.Parse(start(t).Endpoint)
			if err != nil {
				t.Fatal(err)
			}
			for _, address := range addresses {
				ip, ok := address.(*net.IPNet)
				if !ok || ip.IP.String() == endpoint.Hostname() || ip.IP.IsLinkLocalUnicast() {
					continue
				}
				var dialer net.Dialer
				conn, err := dialer.DialContext(t.Context(), "tcp", net.JoinHostPort(ip.IP.String(), endpoint.Port()))
				if err == nil {
					t.Errorf("%s: got a connection to %s, want none", endpoint, ip.IP)
					_ = conn.Close()
				}
			}
		})
	}
}

func TestStart_LeavesNoProcess(t *testing.T) { //nolint:tparallel // the checks follow the subtest
	t.Parallel()
	pidFile := filepath.Join(t.TempDir(), "pid")
	var endpoint string
	t.Run("account", func(t *testing.T) {
		account := emulator.Start(t)
		endpoint = account.Endpoint
		client := lambda.NewFromConfig(account.Config())
		role, err := iam.NewFromConfig(account.Config()).CreateRole(t.Context(), &iam.CreateRoleInput{
			RoleName: aws.String("hanging"),
			AssumeRolePolicyDocument: aws.String(`{
				"Version": "2012-10-17",
				"Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]
			}`),
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.CreateFunction(t.Context(), &lambda.CreateFunctionInput{
			FunctionName: aws.String("hanging"),
			Runtime:      types.RuntimeProvidedal2023,
			Handler:      aws.String("bootstrap"),
			Role:         role.Role.Arn,
			Timeout:      aws.Int32(900),
			Code:         &types.FunctionCode{ZipFile: bootstrap(t, "#!/bin/sh\necho $$ >'"+pidFile+"'\nsleep 900 & wait\n")},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Invoke(t.Context(), &lambda.InvokeInput{
			FunctionName: aws.String("hanging"), InvocationType: types.InvocationTypeEvent,
		})
		if err != nil {
			t.Fatal(err)
		}
		testenv.Eventually(t, "the function's process", func() bool {
			content, err := os.ReadFile(pidFile)
			return err == nil && bytes.HasSuffix(content, []byte("\n"))
		})
	})
	content, err := os.ReadFile(pidFile)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("no account was started")
	}
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the end of the function's process", func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
	var dialer net.Dialer
	if conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(endpoint, "http://")); err == nil {
		t.Errorf("%s: got a connection after the test, want none", endpoint)
		_ = conn.Close()
	}
}

func TestAccount_Env(t *testing.T) {
	t.Parallel()
	for name, start := range starts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			account := start(t)
			child := exec.Command(os.Args[0])
			others := []string{"AWS_PROFILE=other", "AWS_SESSION_TOKEN=other", asChild + "=1"}
			child.Env = slices.Concat(os.Environ(), others, account.Env())
			out, err := child.CombinedOutput()
			want := account.ID + " in " + account.Region + "\n"
			if got := string(out); err != nil || got != want {
				t.Errorf("got %q, error %v, want %q", got, err, want)
			}
		})
	}
}

// TestAccount_UserPolicyIsEnforced checks what the tests of the deployer's and the functions' permissions depend on.
func TestAccount_UserPolicyIsEnforced(t *testing.T) {
	t.Parallel()
	account := emulator.StartTLS(t)
	user := account.User(t, "reader", `{
		"Version": "2012-10-17",
		"Statement": [{"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::packages"}]
	}`)
	createBucket(t, account, "packages")
	createBucket(t, account, "others")
	tests := []struct {
		name    string
		account *emulator.Account
		bucket  string
		want    string // error code
	}{
		{"root user", account, "others", ""},
		{"user", user, "packages", ""},
		{"user, another bucket", user, "others", "AccessDenied"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := s3.NewFromConfig(tt.account.Config()).ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &tt.bucket})
			if got := code(err); got != tt.want {
				t.Errorf("got error %v, want the code %q", err, tt.want)
			}
		})
	}
}

func TestAccount_PolicyRequiresTLS(t *testing.T) {
	t.Parallel()
	for name, start := range starts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			account, bucket := start(t), aws.String("packages")
			createBucket(t, account, *bucket)
			_, err := s3.NewFromConfig(account.Config()).PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{
				Bucket: bucket,
				Policy: aws.String(`{
					"Version": "2012-10-17",
					"Statement": [{
						"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::packages",
						"Condition": {"Bool": {"aws:SecureTransport": "false"}}
					}]
				}`),
			})
			if err != nil {
				t.Fatal(err)
			}
			user := account.User(t, "user", `{
				"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
			}`)
			_, err = s3.NewFromConfig(user.Config()).ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: bucket})
			want := map[string]string{"Start": "AccessDenied", "StartTLS": ""}[name]
			if got := code(err); got != want {
				t.Errorf("got error %v, want the code %q", err, want)
			}
		})
	}
}

func TestAccount_SignedClient(t *testing.T) {
	t.Parallel()
	account := emulator.StartTLS(t)
	client := cloudformation.NewFromConfig(account.Config())
	stack := aws.String("api")
	if _, err := client.CreateStack(t.Context(), &cloudformation.CreateStackInput{StackName: stack, TemplateBody: aws.String(`{
		"Resources": {
			"Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "api", "Body": {
				"openapi": "3.0.1", "info": {"title": "api", "version": "1"},
				"paths": {"/users": {"post": {
					"responses": {}, "security": [{"sigv4": []}], "x-amazon-apigateway-integration": {"type": "mock"}
				}}},
				"components": {"securitySchemes": {"sigv4": {
					"type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "awsSigv4"
				}}}
			}}},
			"Deployment": {"Type": "AWS::ApiGateway::Deployment", "Properties": {"RestApiId": {"Ref": "Api"}}},
			"Stage": {"Type": "AWS::ApiGateway::Stage", "Properties": {
				"RestApiId": {"Ref": "Api"}, "DeploymentId": {"Ref": "Deployment"}, "StageName": "prod"
			}}
		},
		"Outputs": {"ApiId": {"Value": {"Ref": "Api"}}}
	}`)}); err != nil {
		t.Fatal(err)
	}
	waiter := cloudformation.NewStackCreateCompleteWaiter(client, func(o *cloudformation.StackCreateCompleteWaiterOptions) {
		o.MinDelay, o.MaxDelay = 10*time.Millisecond, time.Second
	})
	described, err := waiter.WaitForOutput(t.Context(), &cloudformation.DescribeStacksInput{StackName: stack}, time.Hour) // or the test's deadline
	if err != nil {
		t.Fatal(err)
	}
	address := account.InvokeURL(aws.ToString(described.Stacks[0].Outputs[0].OutputValue), "prod") + "/users?b=2&a=%20"

	const policy = `{"Version": "2012-10-17", "Statement": [{"Effect": %q, "Action": "execute-api:Invoke", "Resource": "*"}]}`
	for name, tt := range map[string]struct {
		client *http.Client
		want   int
	}{
		"not signed":   {account.Client(), http.StatusForbidden},
		"user":         {account.User(t, "user", fmt.Sprintf(policy, "Allow")).SignedClient(), http.StatusOK},
		"refused user": {account.User(t, "refused", fmt.Sprintf(policy, "Deny")).SignedClient(), http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(`{"a": 1}`))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			res, err := tt.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			if res.StatusCode != tt.want {
				body, err := io.ReadAll(res.Body)
				t.Errorf("got status %d, want %d; body: %s, %v", res.StatusCode, tt.want, body, err)
			}
		})
	}
}

func createBucket(t *testing.T, account *emulator.Account, name string) {
	t.Helper()
	_, err := s3.NewFromConfig(account.Config()).CreateBucket(t.Context(), &s3.CreateBucketInput{
		Bucket: &name,
		CreateBucketConfiguration: &s3types.CreateBucketConfiguration{
			LocationConstraint: s3types.BucketLocationConstraint(account.Region),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// code returns the error code of AWS, or "" without an error.
func code(err error) string {
	if apiError, ok := errors.AsType[smithy.APIError](err); ok {
		return apiError.ErrorCode()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// bootstrap returns the deployment package of a function with a script as executable.
func bootstrap(t *testing.T, script string) []byte {
	t.Helper()
	var packed bytes.Buffer
	archive := zip.NewWriter(&packed)
	header := &zip.FileHeader{Name: "bootstrap"}
	header.SetMode(0o755)
	file, err := archive.CreateHeader(header)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write([]byte(script)); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

// TestUser_InheritedTags checks that a condition on tags applies to an API and its child resources ("API Gateway
// resources that can be tagged").
func TestUser_InheritedTags(t *testing.T) {
	t.Parallel()
	root := emulator.Start(t)
	user := root.User(t, "team", `{"Version": "2012-10-17", "Statement": [{
		"Effect": "Allow", "Action": "apigateway:*", "Resource": "*",
		"Condition": {"StringEquals": {"aws:ResourceTag/team": "users"}}
	}]}`)
	for team, allowed := range map[string]bool{"users": true, "shop": false} {
		t.Run(team, func(t *testing.T) {
			t.Parallel()
			api, err := apigateway.NewFromConfig(root.Config()).CreateRestApi(t.Context(), &apigateway.CreateRestApiInput{
				Name: &team, Tags: map[string]string{"team": team},
			})
			if err != nil {
				t.Fatal(err)
			}
			client := apigateway.NewFromConfig(user.Config())
			_, resources := client.GetResources(t.Context(), &apigateway.GetResourcesInput{RestApiId: api.Id})
			_, deletion := client.DeleteRestApi(t.Context(), &apigateway.DeleteRestApiInput{RestApiId: api.Id})
			for operation, err := range map[string]error{"GetResources": resources, "DeleteRestApi": deletion} {
				var refused smithy.APIError
				switch {
				case allowed && err != nil:
					t.Errorf("%s of the API of %s: error = %v, want none", operation, team, err)
				case !allowed && (!errors.As(err, &refused) || refused.ErrorCode() != "AccessDeniedException"):
					t.Errorf("%s of the API of %s: error = %v, want AccessDeniedException", operation, team, err)
				}
			}
		})
	}
}
