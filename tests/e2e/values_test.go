package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/shared/user/usertest"
)

// TestValues writes each value, reads it, writes it as it was read, and checks the stored item.
func TestValues(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	deepest := strings.Repeat(`{"a":`, 30) + `[]` + strings.Repeat(`}`, 30) // at level 2, below the user
	for name, test := range map[string]struct {
		value string
		want  string // "" means value
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
		"array of all types": {value: `[1,"a",null,true,[],{},{"$B":"AA=="}]`},
		"deepest":            {value: deepest},
		"binary":             {value: `{"$B":"AP/+"}`, item: &types.AttributeValueMemberB{Value: []byte{0, 255, 254}}},
		"empty binary":       {value: `{"$B":""}`, item: &types.AttributeValueMemberB{}},
		"string set":         {value: `{"$SS":["b","a","👍"]}`, item: &types.AttributeValueMemberSS{Value: []string{"a", "b", "👍"}}},
		"number set":         {value: `{"$NS":[3,1e2,-2.5]}`, item: &types.AttributeValueMemberNS{Value: []string{"3", "100", "-2.5"}}},
		"binary set":         {value: `{"$BS":["Yg==","AA=="]}`, item: &types.AttributeValueMemberBS{Value: [][]byte{{'b'}, {0}}}},
		"nested sets":        {value: `[{"$SS":["a"]},{"m":{"$NS":[1]}}]`},
		"not a set":          {value: `{"$$SS":["a"]}`, item: &types.AttributeValueMemberM{Value: stacktest.Item{"$SS": list(str("a"))}}},
		"not binary":         {value: `{"$$$B":"a"}`, item: &types.AttributeValueMemberM{Value: stacktest.Item{"$$B": str("a")}}},
		"other dollars":      {value: `{"$X":1}`, item: &types.AttributeValueMemberM{Value: stacktest.Item{"$X": n("1")}}},
		"two members":        {value: `{"$SS":["a","a"],"b":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			created := s.Do(t, "POST", "/users", usertest.Body(t, `{"value":`+test.value+`}`)).Want(t, 201)
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
					t.Errorf("stored item, %s (-want +got):\n%s", where, d)
				}
			}
			check("POST", created)
			checkItem("created")
			read := wantReadBack(t, s, created)
			replaced := s.Do(t, "PUT", path, string(read.Body)).Want(t, 200)
			check("PUT", replaced)
			checkItem("replaced")
			wantReadBack(t, s, replaced)
		})
	}
}

// wantReadBack checks that a read returns the ETag and the bytes of the response to the write, and returns the response
// to the read.
func wantReadBack(t *testing.T, s *stacktest.TestStack, written stacktest.Response) stacktest.Response {
	t.Helper()
	read := s.Do(t, "GET", userPath(t, written), "").Want(t, 200)
	if d := gocmp.Diff(string(written.Body), string(read.Body)); d != "" {
		t.Errorf("the read differs from the response to the write (-write +read):\n%s", d)
	}
	wantHeaders(t, read, stacktest.Headers{"ETag": etag(t, written)})
	return read
}

// TestNumberForms writes numbers in notations that DynamoDB normalizes.
func TestNumberForms(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	sent := usertest.Body(t, `{"userId": "1", "a": 0.10, "b": 1E5, "c": 1e+5, "d": -0, "e": 100.00, "f": 0.0000001, "g": 1e-130,
		"h": 1e37, "i": 1e20, "j": {"$NS": [1E5, 10, 2, 0.10, -0, -1e-130]}, "k": [{"l": 1.0}]}`)
	forms := map[string]json.RawMessage{}
	for name, form := range map[string]string{
		"a": "0.1", "b": "100000", "c": "100000", "d": "0", "e": "100", "f": "1e-7", "g": "1e-130", "h": "1e+37",
		"i": "100000000000000000000", "j": `{"$NS":[-1e-130,0,0.1,2,10,100000]}`, "k": `[{"l":1}]`,
	} {
		forms[name] = json.RawMessage(form)
	}
	check := func(what string, r stacktest.Response) {
		t.Helper()
		var want map[string]json.RawMessage
		if err := json.Unmarshal(r.Body, &want); err != nil {
			t.Fatal(err)
		}
		maps.Copy(want, forms)
		var body strings.Builder // sorted, without white space
		encoder := json.NewEncoder(&body)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(want); err != nil {
			t.Fatal(err)
		}
		if d := gocmp.Diff(body.String(), string(r.Body)+"\n"); d != "" {
			t.Errorf("%s (-want +got):\n%s", what, d)
		}
	}
	created := s.Do(t, "POST", "/users", sent, idempotencyKey("k")).Want(t, 201)
	check("POST", created)
	wantReadBack(t, s, created)
	replayed := s.Do(t, "POST", "/users", strings.Replace(sent, `"a": 0.10`, `"a": 1e-1`, 1), idempotencyKey("k")).Want(t, 201)
	wantHeaders(t, replayed, stacktest.Headers{"Idempotent-Replayed": "true", "ETag": etag(t, created)})
	check("POST, replayed", replayed)
	replaced := s.Do(t, "PUT", "/users/1", sent, ifMatch(etag(t, created))).Want(t, 200)
	check("PUT", replaced)
	wantReadBack(t, s, replaced)
	list := s.Do(t, "GET", "/users", "").Want(t, 200)
	if want := `{"items":[` + string(replaced.Body) + `]}`; string(list.Body) != want {
		t.Errorf("list = %s, want %s", list.Body, want)
	}
}

// TestRandomValues checks that the response to any write equals that of the next read, byte for byte.
func TestRandomValues(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := document{rand.New(rand.NewPCG(seed, 0))}
	s.Do(t, "POST", "/users", usertest.Body(t, `{"userId": "1"}`)).Want(t, 201)
	for range 50 {
		body := usertest.Body(t, random.object(3))
		replaced := s.Do(t, "PUT", "/users/1", body)
		if replaced.Status != 200 {
			t.Fatalf("PUT %s: got %d %s, want 200", body, replaced.Status, replaced.Body)
		}
		wantReadBack(t, s, replaced)
		wantReadBack(t, s, s.Do(t, "POST", "/users", body).Want(t, 201))
	}
}

// document generates valid users as JSON.
type document struct{ *rand.Rand }

func (d document) object(depth int) string {
	var members []string
	for i := range d.IntN(8) {
		members = append(members, fmt.Sprintf("%s: %s", d.str(strconv.Itoa(i)), d.value(depth)))
	}
	return "{" + strings.Join(members, ",") + "}"
}

func (d document) value(depth int) string {
	if depth == 0 {
		return d.number()
	}
	switch d.IntN(8) {
	case 0:
		return d.object(depth - 1)
	case 1:
		return "[" + d.value(depth-1) + "," + d.value(depth-1) + "]"
	case 2:
		return fmt.Sprintf(`{"$NS": [%s]}`, strings.Join([]string{"1E2", "0.50", "-3", "2e-130", "70"}[d.IntN(4):], ","))
	case 3:
		return fmt.Sprintf(`{"$SS": [%s, %s]}`, d.str("a"), d.str("b"))
	case 4:
		return `{"$BS": ["AQ==", "AA==", ""]}`
	case 5:
		return []string{"null", "true", "false", "{}", "[]", `""`, `{"$B": "AP8="}`}[d.IntN(7)]
	case 6:
		return d.str("")
	default:
		return d.number()
	}
}

// number returns a number of up to 38 digits in a random notation.
func (d document) number() string {
	digits := strconv.FormatUint(d.Uint64()>>d.IntN(64), 10)
	form := []string{"%s", "-%s", "%s.00", "0.%s0", "-0.00%s", "%se5", "%sE+60", "%s.0e-100", "0.%[1]se+3"}[d.IntN(9)]
	return fmt.Sprintf(form, digits)
}

// str returns a random JSON string that begins with prefix.
func (d document) str(prefix string) string {
	parts := []string{
		`\u0000`, `\/`, `/`, `\ud83d\ude00`, "😀", "e\u0301", "\u2028", `\u2029`, `\ufffd`, "<&>", `\"`, "\x7f", "\uffff",
	}
	var content strings.Builder
	for range d.IntN(5) {
		content.WriteString(parts[d.IntN(len(parts))])
	}
	return `"` + prefix + content.String() + `"`
}

// TestNames sends attributes whose names need escaping.
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
	members, err := json.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	body := usertest.Body(t, string(members))
	created := s.Do(t, "POST", "/users", body).Want(t, 201)
	read := s.Do(t, "GET", userPath(t, created), "").Want(t, 200).JSON(t)
	for _, name := range []string{"userId", "createdAt", "updatedAt"} {
		delete(read, name)
	}
	if d := gocmp.Diff(normal(stacktest.Decode(t, []byte(body))), normal(read)); d != "" {
		t.Errorf("attributes (-want +got):\n%s", d)
	}
}

func n(number string) types.AttributeValue { return &types.AttributeValueMemberN{Value: number} }

func str(value string) types.AttributeValue { return &types.AttributeValueMemberS{Value: value} }

func list(elements ...types.AttributeValue) types.AttributeValue {
	return &types.AttributeValueMemberL{Value: elements}
}

// normal normalizes a JSON value: numbers by value, and sets by order.
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
