package cfn_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/cfn"
)

func parse(t *testing.T, source string) cfn.Object {
	t.Helper()
	document, err := cfn.ParseYAML([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	return document
}

// TestFaults checks that the evaluation continues after each fault with a fallback, and that Err is the first fault.
func TestFaults(t *testing.T) {
	t.Parallel()
	document := parse(t, `
Conditions:
  Bad: !Equals [a]
  BadOr: !Or [!Condition Bad]
  Never: !Not [!Equals [a, a]]
Resources:
  Table: {Type: T}
  Gone: {Type: T, Condition: Never}
  Kept: {Type: T, Condition: Bad}
Outputs:
  Reference: !Ref Nowhere
  GetAtt: !GetAtt Table.Arn
  Gone: !Sub "a${Gone}"
  If: !If [Bad, yes, no]
  Or: !If [BadOr, yes, no]
  IfOne: !If [Bad]
  Import: !ImportValue x
  Map: !FindInMap [A, B, C]
  Join: !Join ["-", [a, [b], !Ref "AWS::Region"]]
  Select: !Select [1, !Split [",", "a,b"]]
`)
	e := cfn.NewEvaluator(document, cfn.SymbolicPseudoParameters(), nil)
	want := cfn.Object{
		"Reference": "${Nowhere}", "GetAtt": "${Table.Arn}", "Gone": "a${Gone}", "If": "yes", "Or": "yes",
		"IfOne": cfn.Object{"Fn::If": []any{"Bad"}}, "Import": cfn.Object{"Fn::ImportValue": "x"}, "Map": "",
		"Join": "a--${AWS::Region}", "Select": "b",
	}
	if diff := cmp.Diff(want, e.Value("Outputs", document["Outputs"])); diff != "" {
		t.Errorf("Outputs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"Kept", "Table"}, e.All("T")); diff != "" {
		t.Errorf("existing resources (-want +got):\n%s", diff)
	}
	var faults []string
	for _, f := range e.Faults() {
		if n := len(faults); n == 0 || faults[n-1] != f.Error() {
			faults = append(faults, f.Error())
		}
	}
	wantFaults := []string{
		"Conditions.Bad.Fn::Equals: want a list of 2",
		"Conditions.BadOr.Fn::Or: want a list of 2 to 10",
		"Outputs.Gone.Fn::Sub: the resource Gone does not exist with these parameters: use the same condition for both",
		"Outputs.IfOne.Fn::If: want a list of 3",
		"Outputs.Import.Fn::ImportValue: this intrinsic function is not supported",
		"Outputs.Join.Fn::Join.1.1: want a string",
		`Outputs.Map.Fn::FindInMap: Mappings has no entry "A.B.C"`,
		"Outputs.Reference.Ref: there is no parameter or resource Nowhere",
	}
	if diff := cmp.Diff(wantFaults, faults); diff != "" {
		t.Errorf("Faults (-want +got):\n%s", diff)
	}
	if err := e.Err(); err == nil || err.Error() != wantFaults[0] {
		t.Errorf("Err = %v, want %s", err, wantFaults[0])
	}
}

func TestDependencies(t *testing.T) {
	t.Parallel()
	document := parse(t, `
Resources:
  A: {DependsOn: B}
  B: {DependsOn: [C], Properties: {A: !If [X, !Ref D, !GetAtt [E, !Ref Name]]}}
  C: {Properties: {A: !Sub ["${A}${D}${!E}${E.Arn}", {A: !Ref B}], C: !Ref C}}
  D: {}
  E: {}
`)
	want := map[string][]string{"A": {"B"}, "B": {"C", "D", "E"}, "C": {"B", "D", "E"}, "D": nil, "E": nil}
	if diff := cmp.Diff(want, cfn.Dependencies(document)); diff != "" {
		t.Errorf("Dependencies (-want +got):\n%s", diff)
	}
	cfn.Rename(document, "E", "F")
	want = map[string][]string{"A": {"B"}, "B": {"C", "D", "F"}, "C": {"B", "D", "F"}, "D": nil, "F": nil}
	if diff := cmp.Diff(want, cfn.Dependencies(document)); diff != "" {
		t.Errorf("Dependencies after Rename (-want +got):\n%s", diff)
	}
}
