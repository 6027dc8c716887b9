package template_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/template"
)

// small is a minimal template. %s is the value of an environment variable of its only function.
const small = `
Parameters:
  Word: {Type: String, Default: word}
  Count: {Type: Number, Default: 7}
  Words: {Type: CommaDelimitedList, Default: "a, b,c"}
  CorsAllowOrigin: {Type: String, Default: "*"}
  Required: {Type: String, MinLength: 2, MaxLength: 3}
  Authorization: {Type: String, Default: NONE}
Mappings:
  Sizes:
    word: {small: 1, large: 2}
Conditions:
  IsWord: !Equals [!Ref Word, word]
  IsSeven: !Equals [!Ref Count, 7]
  IsNot: !Not [!Condition IsWord]
  IsBoth: !And [!Condition IsWord, !Condition IsSeven]
  IsEither: !Or [!Condition IsNot, !Equals [!Ref Required, xyz]]
  Circular: !Not [!Condition Circular]
Resources:
  Function:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: !Sub "f-${Word}"
      Code: f
      Timeout: !Ref Count
      Environment:
        Variables:
          VALUE: %s
  Version:
    Type: AWS::Lambda::Version
    Properties: {FunctionName: !Ref Function}
  Alias:
    Type: AWS::Lambda::Alias
    Properties: {FunctionName: !Ref Function, FunctionVersion: !GetAtt Version.Version, Name: live}
  Table:
    Type: AWS::DynamoDB::Table
  Role:
    Type: AWS::IAM::Role
  Group:
    Type: AWS::Logs::LogGroup
    Properties: {LogGroupName: /group}
  Gone:
    Type: AWS::Logs::LogGroup
    Condition: IsNot
  Topic:
    Type: AWS::SNS::Topic
  Circle:
    Type: AWS::Logs::LogGroup
    Properties: {LogGroupName: !Sub "x${Circle}"}
  Api:
    Type: AWS::ApiGateway::RestApi
  Deployment:
    Type: AWS::ApiGateway::Deployment
  Documentation:
    Type: AWS::ApiGateway::DocumentationVersion
  Stage:
    Type: AWS::ApiGateway::Stage
    Properties: {StageName: live}
`

const smallContract = `
openapi: 3.0.3
info: {title: small, version: "1"}
externalDocs: {url: https://example.org}
paths:
  /a:
    get:
      operationId: a
      x-function: Function
      responses: {"200": {description: a}}
components:
  headers:
    Access-Control-Expose-Headers: {schema: {type: string, enum: [ETag]}}
  schemas:
    Problem: {type: object}
`

func resolveSmall(t *testing.T, expression string) (*template.Resources, error) {
	t.Helper()
	loaded, err := template.Load(fstest.MapFS{
		"template.yaml": {Data: fmt.Appendf(nil, small, expression)},
		"openapi.yaml":  {Data: []byte(smallContract)},
	})
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := loaded.Render(template.Options{Parameters: map[string]string{"Required": "xyz"}})
	if err != nil {
		return nil, err
	}
	return rendered.Resolve(place())
}

func TestIntrinsicFunctions(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		`plain`:                                "plain",
		`010`:                                  "8", // an octal number of YAML 1.1, as CloudFormation reads it
		`true`:                                 "true",
		`2026-01-02`:                           "2026-01-02",
		`!Ref Word`:                            "word",
		`{Ref: Count}`:                         "7",
		`!Ref AWS::Region`:                     "eu-central-1",
		`!Ref AWS::AccountId`:                  "123456789012",
		`!Ref AWS::Partition`:                  "aws",
		`!Ref AWS::URLSuffix`:                  "amazonaws.com",
		`!Ref AWS::StackName`:                  "users",
		`!Ref Function`:                        "f-word",
		`!Ref Stage`:                           "live",
		`!Ref Alias`:                           "arn:aws:lambda:eu-central-1:123456789012:function:f-word:live",
		`!GetAtt Function.Arn`:                 "arn:aws:lambda:eu-central-1:123456789012:function:f-word",
		`!GetAtt [Function, Arn]`:              "arn:aws:lambda:eu-central-1:123456789012:function:f-word",
		`{"Fn::GetAtt": [Group, Arn]}`:         "arn:aws:logs:eu-central-1:123456789012:log-group:/group:*",
		`!Sub "${Word}-${AWS::Region}"`:        "word-eu-central-1",
		`!Sub "${!Word}-${Group.Arn}"`:         "${Word}-arn:aws:logs:eu-central-1:123456789012:log-group:/group:*",
		`!Sub ["${A}${Word}", {A: !Ref Word}]`: "wordword",
		`!Join ["-", [a, !Ref Word, 3]]`:       "a-word-3",
		`!Join ["+", !Ref Words]`:              "a+b+c",
		`!Select [1, !Ref Words]`:              "b",
		`!Select ["2", !Split [".", a.b.c]]`:   "c",
		`!FindInMap [Sizes, !Ref Word, large]`: "2",
		`!If [IsWord, yes, no]`:                "yes",
		`!If [IsNot, yes, no]`:                 "no",
		`!If [IsBoth, yes, no]`:                "yes",
		`!If [IsEither, yes, no]`:              "yes",
		`!If [IsNot, !Ref Topic, other]`:       "other", // the other branch is not evaluated
	} {
		t.Run(expression, func(t *testing.T) {
			t.Parallel()
			stack, err := resolveSmall(t, expression)
			if err != nil {
				t.Fatal(err)
			}
			if got := stack.Functions()[0].Environment["VALUE"]; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestNoValue(t *testing.T) {
	t.Parallel()
	stack, err := resolveSmall(t, "!Ref AWS::NoValue")
	if err != nil {
		t.Fatal(err)
	}
	if got := stack.Functions()[0].Environment; len(got) != 0 {
		t.Errorf("Environment = %v, want it empty", got)
	}
	if stack, err = resolveSmall(t, `!Join ["", [a, !Ref AWS::NoValue, b]]`); err != nil {
		t.Fatal(err)
	}
	if got := stack.Functions()[0].Environment["VALUE"]; got != "ab" {
		t.Errorf("VALUE = %q, want ab", got)
	}
}

// TestGeneratedNames checks that a resource without a name gets one in the form that CloudFormation generates.
func TestGeneratedNames(t *testing.T) {
	t.Parallel()
	for expression, prefix := range map[string]string{
		"!Ref Table":        "users-Table-",
		"!GetAtt Role.Arn":  "arn:aws:iam::123456789012:role/users-Role-",
		"!GetAtt Table.Arn": "arn:aws:dynamodb:eu-central-1:123456789012:table/users-Table-",
	} {
		t.Run(expression, func(t *testing.T) {
			t.Parallel()
			var values []string
			for range 2 {
				stack, err := resolveSmall(t, expression)
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, stack.Functions()[0].Environment["VALUE"])
			}
			if !strings.HasPrefix(values[0], prefix) || values[0] == prefix || values[0] != values[1] {
				t.Errorf("got %q, want the prefix %s and the same value twice", values, prefix)
			}
		})
	}
}

func TestEvaluationErrors(t *testing.T) {
	t.Parallel()
	const path = "Resources.Function.Properties.Environment.Variables.VALUE."
	for expression, want := range map[string]string{
		`!ImportValue other`:               path + "Fn::ImportValue: this intrinsic function is not supported",
		`!Base64 text`:                     path + "Fn::Base64",
		`{"Fn::Transform": {Name: x}}`:     path + "Fn::Transform",
		`{"Fn::Sub": a, Other: b}`:         "VALUE: Fn::Sub must be the only key",
		`!Ref Nowhere`:                     path + "Ref: there is no parameter or resource Nowhere",
		`!Ref [Word]`:                      path + "Ref: want a name",
		`!Ref Topic`:                       "the value of Ref for AWS::SNS::Topic is not supported",
		`!Ref Gone`:                        "the resource Gone does not exist with these parameters",
		`!Ref Circle`:                      "Resources.Circle depends on itself",
		`!GetAtt Function.Version`:         "the attribute Version of AWS::Lambda::Function is not supported",
		`!GetAtt Nowhere.Arn`:              path + "Fn::GetAtt: there is no parameter or resource Nowhere",
		`!Sub "${Nowhere}"`:                path + "Fn::Sub: there is no parameter or resource Nowhere",
		`!Sub "${Words}"`:                  path + "Fn::Sub: ${Words} is not a string",
		`!Sub [a]`:                         path + "Fn::Sub: want a list of 2",
		`!Select [3, !Ref Words]`:          path + "Fn::Select: the list has no element 3",
		`!Select [-1, !Ref Words]`:         path + "Fn::Select: the list has no element -1",
		`!Select [a, !Ref Words]`:          path + "Fn::Select: the list has no element a",
		`!Join [a]`:                        path + "Fn::Join: want a list of 2",
		`!Join ["", [[a]]]`:                path + "Fn::Join.1.0: want a string",
		`!Split ["", a]`:                   path + "Fn::Split",
		`!FindInMap [Sizes, other, large]`: path + `Fn::FindInMap: Mappings has no entry "Sizes.other.large"`,
		`!If [Nowhere, a, b]`:              "there is no condition Nowhere",
		`!If [Circular, a, b]`:             "Conditions.Circular depends on itself",
		`!If [IsWord, a]`:                  path + "Fn::If: want a list of 3",
		`[a, list]`:                        "VALUE: want a string",
	} {
		t.Run(expression, func(t *testing.T) {
			t.Parallel()
			if _, err := resolveSmall(t, expression); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error = %v\nwant one that contains %q", err, want)
			}
		})
	}
}

func TestSmallDefaults(t *testing.T) {
	t.Parallel()
	stack, err := resolveSmall(t, "x")
	if err != nil {
		t.Fatal(err)
	}
	f := stack.Functions()[0]
	if f.MemoryMB != 128 || f.Architecture != "x86_64" || f.Tracing || f.ReservedConcurrency != nil {
		t.Errorf("got function %+v, want Lambda's defaults", f)
	}
	if diff := cmp.Diff(template.Logging{Group: "/aws/lambda/f-word", Format: "Text"}, f.Logging); diff != "" {
		t.Errorf("Logging (-want +got):\n%s", diff)
	}
	if a := stack.API(); a.ThrottlingRateLimit != 0 || a.Tracing || a.Stage != "live" {
		t.Errorf("got API %+v, want API Gateway's defaults", a)
	}
}

func TestRequiredParameter(t *testing.T) {
	t.Parallel()
	loaded, err := template.Load(fstest.MapFS{
		"template.yaml": {Data: fmt.Appendf(nil, small, "x")},
		"openapi.yaml":  {Data: []byte(smallContract)},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		given map[string]string
		want  string
	}{
		"missing":   {nil, "parameter Required: it has no default"},
		"too short": {map[string]string{"Required": "x"}, `"x" has fewer than 2 characters`},
		"too long":  {map[string]string{"Required": "xxxx"}, `"xxxx" has more than 3 characters`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := loaded.Render(template.Options{Parameters: test.given})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error = %v\nwant one that contains %q", err, test.want)
			}
		})
	}
	if _, err := loaded.Render(template.Options{Parameters: map[string]string{"Required": "äöü"}}); err != nil {
		t.Error(err)
	}
}

// TestMergeKeys checks that a mapping's own keys take precedence over merged ones, in any order.
func TestMergeKeys(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		`!Sub ["${A}${B}", {<<: {A: 1, B: 2}, B: 3}]`:                 "13",
		`!Sub ["${A}${B}", {B: 3, <<: {A: 1, B: 2}}]`:                 "13",
		`!Sub ["${A}${B}${C}", {<<: {<<: {A: 1, B: 2}, B: 3}, C: 4}]`: "134",
	} {
		t.Run(expression, func(t *testing.T) {
			t.Parallel()
			stack, err := resolveSmall(t, expression)
			if err != nil {
				t.Fatal(err)
			}
			if got := stack.Functions()[0].Environment["VALUE"]; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
