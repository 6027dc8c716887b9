package cfn_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/cfn"
)

const loopMappings = `
Mappings:
  Functions:
    Get: {Name: get, Timeout: 5, Actions: [Read, List]}
    Put: {Name: put, Actions: [Write]}
    All: {Ids: [Get, Put]}
  Regions: {eu: {Console: eu.example}}
`

func TestExpandLoops(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ source, want string }{
		"no loop": {
			`Resources: {A: {Value: !Sub ["${B}", {B: b}], Other: !FindInMap [Functions, Get, Name]}}` + loopMappings,
			`Resources: {A: {Value: !Sub ["${B}", {B: b}], Other: !FindInMap [Functions, Get, Name]}}` + loopMappings,
		},
		"resources beside others": {
			`Resources: {Other: {Type: O}, Fn::ForEach::Loop: [Id, [Get, Put], {"${Id}A": {Type: A}, "${Id}B": {Type: B}}]}`,
			`Resources: {Other: {Type: O}, GetA: {Type: A}, GetB: {Type: B}, PutA: {Type: A}, PutB: {Type: B}}`,
		},
		"conditions and outputs": {
			`{Conditions: {Fn::ForEach::L: [Id, [A], {"Is${Id}": !Equals [!Ref Id, A]}]},
				Outputs: {Fn::ForEach::L: [Id, [A], {"${Id}": {Value: !Ref "${Id}Function"}}]}}`,
			`{Conditions: {IsA: !Equals [A, A]}, Outputs: {A: {Value: !Ref AFunction}}}`,
		},
		"references": {
			`Resources: {Fn::ForEach::L: [Id, [A], {"${Id}": [!Ref Id, !Ref Other, !GetAtt "${Id}Role.Arn", !Sub "${${Id}Role}-${!Id}"]}]}`,
			`Resources: {A: [A, !Ref Other, !GetAtt ARole.Arn, !Sub "${ARole}-${!Id}"]}`,
		},
		"letters and digits": {
			`Resources: {Fn::ForEach::L: [Ip, ["10.0.0.1"], {"H&{Ip}": {Address: "${Ip}"}}]}`,
			`Resources: {H10001: {Address: "10.0.0.1"}}`,
		},
		"loop in a loop": {
			`Resources: {Fn::ForEach::L: [X, [A, B], {Fn::ForEach::M: [Y, [C, D], {"${X}${Y}": {X: !Ref X, Y: !Ref Y}}]}]}`,
			`Resources: {AC: {X: A, Y: C}, AD: {X: A, Y: D}, BC: {X: B, Y: C}, BD: {X: B, Y: D}}`,
		},
		"parameters": {
			`Parameters: {Fn::ForEach::L: [Id, [A, B], {"Existing${Id}": {Type: String}}]}`,
			`Parameters: {ExistingA: {Type: String}, ExistingB: {Type: String}}`,
		},
		"nothing": {
			`Resources: {A: {List: [x, {Fn::ForEach::L: [Id, [], [!Ref Id]]}], Fn::ForEach::L: [Id, [], {"${Id}": 1}]}}`,
			`Resources: {A: {List: [x]}}`,
		},
		"properties": {
			`Resources: {A: {Fn::ForEach::L: [P, [B, C], {"${P}": true}], D: 1}}`,
			`Resources: {A: {B: true, C: true, D: 1}}`,
		},
		"elements": {
			`Resources: {A: {List: [x, {Fn::ForEach::L: [Id, [B, C], [!Ref "${Id}1", !Ref "${Id}2"]]}, y]}}`,
			`Resources: {A: {List: [x, !Ref B1, !Ref B2, !Ref C1, !Ref C2, y]}}`,
		},
		"an element with keys of a loop": {
			`Resources: {A: {List: [{Fn::ForEach::L: [Id, [B, C], {"${Id}": 1}]}]}}`,
			`Resources: {A: {List: [{B: 1, C: 1}]}}`,
		},
		"values of a mapping, which is removed": {
			`Resources: {Fn::ForEach::L: [Id, !FindInMap [Functions, All, Ids], {"${Id}": {
				Actions: !FindInMap [Functions, !Ref Id, Actions],
				Timeout: !FindInMap [Functions, !Ref Id, Timeout, {DefaultValue: !Ref Timeout}],
				Name: !Sub ["${Name}-${Function}", {Name: !Ref Name, Function: !FindInMap [Functions, !Ref Id, Name]}],
				Alias: !Sub ["${Function}-${Stage}", {Function: !FindInMap [Functions, !Ref Id, Name]}],
				Code: !Sub ["functions/${Function}", {Function: !FindInMap [Functions, !Ref Id, Name]}],
				Console: !FindInMap [Regions, !Ref AWS::Region, Console]}}]}` + loopMappings,
			`Resources:
  Get: {Actions: [Read, List], Timeout: 5, Name: !Sub ["${Name}-get", {Name: !Ref Name}], Alias: !Sub "get-${Stage}",
    Code: functions/get, Console: !FindInMap [Regions, !Ref AWS::Region, Console]}
  Put: {Actions: [Write], Timeout: !Ref Timeout, Name: !Sub ["${Name}-put", {Name: !Ref Name}], Alias: !Sub "put-${Stage}",
    Code: functions/put, Console: !FindInMap [Regions, !Ref AWS::Region, Console]}
Mappings:
  Regions: {eu: {Console: eu.example}}`,
		},
		"a mapping that an unknown one may be": {
			`Resources: {Fn::ForEach::L: [Id, [Get], {"${Id}": !FindInMap [Functions, !Ref Id, Name]}], A: !FindInMap [!Ref M, a, b]}` +
				loopMappings,
			`Resources: {Get: get, A: !FindInMap [!Ref M, a, b]}` + loopMappings,
		},
		"the only mapping": {
			`{Resources: {Fn::ForEach::L: [Id, [A], {"${Id}": !FindInMap [M, !Ref Id, K]}]}, Mappings: {M: {A: {K: v}}}}`,
			`Resources: {A: v}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, want := parse(t, test.source), parse(t, test.want)
			if err := cfn.ExpandLoops(got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("expanded (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExpandLoops_Errors(t *testing.T) {
	t.Parallel()
	const loop = "Resources.Fn::ForEach::L"
	for source, want := range map[string]string{
		`[Id, [A]]`:               loop + ": want a list of 3: an identifier, a collection and what to generate",
		`{Id: [A]}`:               loop + ": want a list of 3: an identifier, a collection and what to generate",
		`[[Id], [A], {}]`:         loop + ".0: want an identifier that no enclosing loop has",
		`[Id, !Ref Ids, {}]`:      loop + ".1: want a list of strings",
		`[Id, A, {}]`:             loop + ".1: want a list of strings",
		`[Id, [A, 1], {}]`:        loop + ".1.1: want a string",
		`[Id, [A], text]`:         loop + ".2: want a mapping",
		`[Id, [A, B], {Same: 1}]`: loop + ".2: duplicate key Same",
		`[Id, [A], {"${Id}": {Fn::ForEach::M: [Id, [B], {"${Id}": 1}]}}]`: loop +
			".2.${Id}.Fn::ForEach::M.0: want an identifier that no enclosing loop has",
		`[Id, [A], {"${Id}": [!FindInMap [Functions, !Ref Id, Name]]}]`: loop +
			`.2.${Id}.0.Fn::FindInMap: Mappings.Functions has no A: add it, or use one of All, Get, Put (Id=A)`,
		`[Id, [Put], {Fn::ForEach::M: [Key, [Timeout], {"${Id}": [!FindInMap [Functions, !Ref Id, !Ref Key]]}]}]`: loop +
			`.2.Fn::ForEach::M.2.${Id}.0.Fn::FindInMap: ` +
			"Mappings.Functions.Put has no Timeout: add it, or use one of Actions, Name (Id=Put, Key=Timeout)",
		`[Id, [A], {"${Id}": [!FindInMap [Function, !Ref Id, Name]]}]`: loop +
			`.2.${Id}.0.Fn::FindInMap: Mappings has no Function: add it, or use one of Functions, Regions (Id=A)`,
		`[Id, [Get], {"${Id}": !FindInMap [Functions, !Ref Id, Name]}]`: "Mappings.Functions.All: " +
			"no loop uses this entry: list it, or remove it",
		`[Id, !FindInMap [Functions, All, Ids], {"${Id}": !FindInMap [Functions, !Ref Id, Name]}]`: "Mappings." +
			"Functions.Get.Actions: no loop uses this value: correct its name, or remove it",
		`[Id, [A], {"${Id}": !FindInMap [Functions]}]`: loop +
			".2.${Id}.Fn::FindInMap: want a list of 3, or of 4 with a DefaultValue",
		`[Id, [A], {"${Id}": {List: [{Fn::ForEach::M: [F, !Ref Ids, [1]]}]}}]`: loop +
			".2.${Id}.List.0.Fn::ForEach::M.1: want a list of strings",
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			err := cfn.ExpandLoops(parse(t, "Resources: {Fn::ForEach::L: "+source+"}"+loopMappings))
			if err == nil || err.Error() != want {
				t.Errorf("error = %v\nwant    %s", err, want)
			}
		})
	}
	err := cfn.ExpandLoops(parse(t, `Resources: {GetRole: {}, Fn::ForEach::L: [Id, [Get], {"${Id}Role": {}}]}`))
	if err == nil || !strings.Contains(err.Error(), "duplicate key GetRole") {
		t.Errorf("a resource that exists: error = %v", err)
	}
}
