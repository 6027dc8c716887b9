package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/tests/stacktest"
)

// TestValues sends each value, reads it, sends it back as it was read, and looks into the table.
func TestValues(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	deepest := strings.Repeat(`{"a":`, 30) + `[]` + strings.Repeat(`}`, 30) // at level 2, for the user is level 1
	for name, test := range map[string]struct {
		value string
		want  string // "": the value itself
		item  types.AttributeValue
	}{
		"integer":            {value: `36`, item: n("36")},
		"zero":               {value: `0`, item: n("0")},
		"negative zero":      {value: `-0`, want: `0`, item: n("0")},
		"negative":           {value: `-17.5`, item: n("-17.5")},
		"not a double":       {value: `12345678901234567890.123456789`, item: n("12345678901234567890.123456789")},
		"38 digits":          {value: `12345678901234567890123456789012345678`, item: n("12345678901234567890123456789012345678")},
		"38 digits, decimal": {value: `0.12345678901234567890123456789012345678`, item: n("0.12345678901234567890123456789012345678")},
		"38 digits, negative": {value: `-99999999999999999999999999999999999999`,
			item: n("-99999999999999999999999999999999999999")},
		"smallest":           {value: `1e-130`, item: n("1e-130")},
		"largest":            {value: `9.9999999999999999999999999999999999999e125`, item: n("9.9999999999999999999999999999999999999e125")},
		"trailing zeros":     {value: `100.00`, item: n("100")},
		"capital exponent":   {value: `1E+5`, item: n("100000")},
		"more zeros than 38": {value: `1` + strings.Repeat("0", 60), item: n("1e60")},
		"empty string":       {value: `""`, item: str("")},
		"emoji":              {value: `"👩🏽‍🚀 🇩🇪 é"`, item: str("👩🏽‍🚀 🇩🇪 é")},
		"escapes":            {value: `"\u0000\u001f\"\\\/\b\f\n\r\t\ud83d\ude00\ufffd"`, item: str("\x00\x1f\"\\/\b\f\n\r\t😀\ufffd")},
		"decomposed":         {value: "\"e\u0301\"", item: str("e\u0301")},
		"null":               {value: `null`, item: &types.AttributeValueMemberNULL{Value: true}},
		"true":               {value: `true`, item: &types.AttributeValueMemberBOOL{Value: true}},
		"false":              {value: `false`, item: &types.AttributeValueMemberBOOL{}},
		"empty object":       {value: `{}`, item: &types.AttributeValueMemberM{}},
		"empty array":        {value: `[]`, item: &types.AttributeValueMemberL{}},
		"object": {value: `{"a":{"b":[{"c":null},1.50,""]}}`, item: &types.AttributeValueMemberM{Value: stacktest.Item{
			"a": &types.AttributeValueMemberM{Value: stacktest.Item{
				"b": list(&types.AttributeValueMemberM{Value: stacktest.Item{"c": &types.AttributeValueMemberNULL{Value: true}}}, n("1.5"), str("")),
			}},
		}}},
		"array of all":     {value: `[1,"a",null,true,[],{},{"$B":"AA=="}]`},
		"deepest":          {value: deepest},
		"binary":           {value: `{"$B":"AP/+"}`, item: &types.AttributeValueMemberB{Value: []byte{0, 255, 254}}},
		"empty binary":     {value: `{"$B":""}`, item: &types.AttributeValueMemberB{}},
		"string set":       {value: `{"$SS":["b","a","👍"]}`, item: &types.AttributeValueMemberSS{Value: []string{"a", "b", "👍"}}},
		"number set":       {value: `{"$NS":[3,1e2,-2.5]}`, item: &types.AttributeValueMemberNS{Value: []string{"3", "100", "-2.5"}}},
		"binary set":       {value: `{"$BS":["Yg==","AA=="]}`, item: &types.AttributeValueMemberBS{Value: [][]byte{{'b'}, {0}}}},
		"nested sets":      {value: `[{"$SS":["a"]},{"m":{"$NS":[1]}}]`},
		"not a set":        {value: `{"$$SS":["a"]}`, item: &types.AttributeValueMemberM{Value: stacktest.Item{"$SS": list(str("a"))}}},
		"not a set either": {value: `{"$$$B":"a"}`, item: &types.AttributeValueMemberM{Value: stacktest.Item{"$$B": str("a")}}},
		"other dollars":    {value: `{"$X":1}`, item: &types.AttributeValueMemberM{Value: stacktest.Item{"$X": n("1")}}},
		"two members":      {value: `{"$SS":["a","a"],"b":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			created := s.Do(t, "POST", "/users", `{"value":`+test.value+`}`).Want(t, 201)
			path := userPath(t, created)
			id := strings.TrimPrefix(path, "/users/")
			if test.want == "" {
				test.want = test.value
			}
			want := stacktest.Decode(t, []byte(`{"value":`+test.want+`}`))["value"]
			check := func(where string, r stacktest.Response) {
				t.Helper()
				if d := gocmp.Diff(normal(want), normal(r.JSON(t)["value"])); d != "" {
					t.Errorf("%s (-want +got):\n%s", where, d)
				}
			}
			checkItem := func(where string) {
				t.Helper()
				if test.item == nil {
					return
				}
				wantItem := stacktest.Comparable(stacktest.Item{"value": test.item})["value"]
				if d := gocmp.Diff(wantItem, stacktest.Comparable(s.Item(t, id))["value"]); d != "" {
					t.Errorf("in the table, %s (-want +got):\n%s", where, d)
				}
			}
			check("POST", created)
			checkItem("created")
			read := s.Do(t, "GET", path, "").Want(t, 200)
			check("GET", read)
			check("PUT", s.Do(t, "PUT", path, string(read.Body)).Want(t, 200))
			checkItem("replaced")
			check("GET", s.Do(t, "GET", path, "").Want(t, 200))
		})
	}
}

// TestNames sends attributes whose names need care on the way.
func TestNames(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	sent := map[string]any{}
	for _, name := range []string{
		"with space", "dot.ted", "a/b~c", "#hash", ":colon", "é", "👍", "$SS", "$B", "size", "data", "SELECT", "\"quoted\"", "line\nbreak",
		strings.Repeat("n", 1000),
	} {
		sent[name] = name
	}
	body, err := json.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	created := s.Do(t, "POST", "/users", string(body)).Want(t, 201)
	read := s.Do(t, "GET", userPath(t, created), "").Want(t, 200).JSON(t)
	for _, name := range []string{"userId", "createdAt", "updatedAt"} {
		delete(read, name)
	}
	if d := gocmp.Diff(sent, read); d != "" {
		t.Errorf("attributes (-want +got):\n%s", d)
	}
}

func n(number string) types.AttributeValue { return &types.AttributeValueMemberN{Value: number} }

func str(text string) types.AttributeValue { return &types.AttributeValueMemberS{Value: text} }

func list(elements ...types.AttributeValue) types.AttributeValue {
	return &types.AttributeValueMemberL{Value: elements}
}

// normal returns the same for JSON values that mean the same: numbers by their value, and sets whatever their order.
func normal(v any) any {
	switch v := v.(type) {
	case json.Number:
		return json.Number(stacktest.Rational(v.String()))
	case []any:
		normalized := make([]any, len(v))
		for i, element := range v {
			normalized[i] = normal(element)
		}
		return normalized
	case map[string]any:
		normalized := make(map[string]any, len(v))
		for name, element := range v {
			normalized[name] = normal(element)
			set, isList := normalized[name].([]any)
			if isList && len(v) == 1 && slices.Contains([]string{"$SS", "$NS", "$BS"}, name) {
				slices.SortFunc(set, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
			}
		}
		return normalized
	default:
		return v
	}
}
