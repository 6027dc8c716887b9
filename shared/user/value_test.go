package user_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/shared/user"
)

// TestSize compares with sizes measured with DynamoDB: how much space a value leaves in an item of maximum size.
func TestSize(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		value any
		want  int
	}{
		"string":       {"abc", 3},
		"empty string": {"", 0},
		"UTF-8":        {"é", 2},
		"1":            {user.Number("1"), 2},
		"123":          {user.Number("123"), 3},
		"38 digits":    {user.Number("12345678901234567890123456789012345678"), 20},
		"-1":           {user.Number("-1"), 3},
		"0.5":          {user.Number("0.5"), 2},
		"100":          {user.Number("100"), 2},
		"true":         {true, 1},
		"null":         {nil, 1},
		"empty list":   {[]any{}, 3},
		"empty map":    {map[string]any{}, 3},
		"list of one":  {[]any{"a"}, 5},
		"list of two":  {[]any{"a", "b"}, 7},
		"map":          {map[string]any{"k": "a"}, 6},
		"string set":   {user.StringSet{"a", "b"}, 2},
		"number set":   {user.NumberSet{"1", "2"}, 4},
		"binary":       {user.Binary("abc"), 3},
		"binary set":   {user.BinarySet{[]byte("a"), []byte("bc")}, 3},
		"nested":       {[]any{map[string]any{"k": []any{true}}}, 3 + 1 + 3 + 1 + 1 + 3 + 1 + 1},
		"zero":         {user.Number("0"), 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := (user.Attributes{"é": test.value}).Size(); got != 2+test.want {
				t.Errorf("got %d, want %d", got-2, test.want)
			}
		})
	}
}

func TestCheckSize(t *testing.T) {
	t.Parallel()
	// Measured: DynamoDB accepts an item of this size, and rejects one that is a byte larger.
	largest := user.Attributes{"userId": "d", "a": strings.Repeat("x", 409592)}
	if size := largest.Size(); size != 409600 || largest.CheckSize() != nil {
		t.Errorf("got size %d, error %v, want 409600 and none", size, largest.CheckSize())
	}
	largest["b"] = ""
	if err := largest.CheckSize(); !errors.Is(err, &user.Error{Code: user.BodyTooLarge}) {
		t.Errorf("got error %v, want %s", err, user.BodyTooLarge)
	}
}

func TestAppendJSON(t *testing.T) {
	t.Parallel()
	got := string(user.Attributes{
		"z": nil, "é": true, "a\"": false, "n": user.Number("1.50"),
		"m": map[string]any{"b": []any{}, "a": map[string]any{}}, "s": "\u2028</script>\ufffd\x00",
		"b": user.Binary("\x00"), "ss": user.StringSet{"b", "a"}, "ns": user.NumberSet{"2", ".5"},
		"bs": user.BinarySet{{1}}, "e": map[string]any{"$B": "x"}, "$B": "x", "dynamodb": user.Number("-.5E+3"),
	}.AppendJSON([]byte("before ")))
	want := `before {"$B":"x","a\"":false,"b":{"$B":"AA=="},"bs":{"$BS":["AQ=="]},"dynamodb":-500,"e":{"$$B":"x"},` +
		`"m":{"a":{},"b":[]},"n":1.5,"ns":{"$NS":[0.5,2]},"s":"` + "\u2028" + `</script>\ufffd\u0000",` +
		`"ss":{"$SS":["a","b"]},"z":null,"é":true}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestCanonical(t *testing.T) {
	t.Parallel()
	zeros := func(count int) user.Number { return user.Number(strings.Repeat("0", count)) }
	for want, numbers := range map[string][]user.Number{
		"0":                                      {"0", "-0", "0.00", "0e999", "-0.0E-99999999999999999999", "000"},
		"1":                                      {"1", "1.0", "10e-1", "0.1E1", "0001", "1e+0", "1" + zeros(50) + "e-50"},
		"100000":                                 {"1E5", "1e+5", "100000.0"},
		"-1250":                                  {"-1250", "-1.250e3", "-0.00125e+6"},
		"0.1":                                    {"0.10", ".1", "1e-1"},
		"-12.5":                                  {"-12.50", "-1.25e1"},
		"0.000001":                               {"1e-6", "0.0000010"},
		"1e-7":                                   {"0.0000001", "10e-8"},
		"-1.25e-7":                               {"-0.000000125"},
		"1e-130":                                 {"1e-130", "0." + zeros(129) + "1"},
		"1" + string(zeros(20)):                  {"1e20", "1" + zeros(20) + ".0"},
		"1e+21":                                  {"1e21", "1" + zeros(21)},
		"12" + string(zeros(20)):                 {"12e20"},
		"-1.2e+22":                               {"-12e21"},
		"123456789012345678" + string(zeros(20)): {"123456789012345678e20"},
		"1.23456789012345678e+38":                {"123456789012345678e21"},
		"1.2345678901234567891e+38":              {"12345678901234567891e19"},
		"9.99e+125":                              {"9.99e125", "999" + zeros(123)},
		"12345678901234567890123456789012345678": {"1.2345678901234567890123456789012345678e37"},
		"not a digit":                            {"not a digit"}, // unchanged
		"1e1e1":                                  {"1e1e1"},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			for _, n := range numbers {
				if got := n.Canonical(); got != want {
					t.Errorf("%s: got %s, want %s", n, got, want)
				}
			}
		})
	}
}

func TestNumberSetOrder(t *testing.T) {
	t.Parallel()
	sorted := user.NumberSet{"-1e125", "-10", "-9.5", "-9", "-1e-130", "0", "1e-130", "0.12", "0.123", "2", "10", "1e125"}
	const want = `{"n":{"$NS":[-1e+125,-10,-9.5,-9,-1e-130,0,1e-130,0.12,0.123,2,10,1e+125]}}`
	if got := string(user.Attributes{"n": sorted}.AppendJSON(nil)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	slices.Reverse(sorted)
	if got := string(user.Attributes{"n": sorted}.AppendJSON(nil)); got != want {
		t.Errorf("reversed: got %s, want %s", got, want)
	}
}

// TestAppendJSON_Size checks that the largest users, in the values with the longest JSON, fit into a response of a
// Lambda function: 6 MB, with the body as a JSON string.
func TestAppendJSON_Size(t *testing.T) {
	t.Parallel()
	const limit = 6 << 20
	integers := func(exponent string) (set user.NumberSet) { // of two bytes each: a list takes one more for each
		for i := range 99 {
			set = append(set, user.Number(strconv.Itoa(i+1)+exponent))
		}
		return set
	}
	for name, element := range map[string]any{
		"large numbers":      user.Number("1e125"),
		"integers":           user.Number("1e20"),
		"sets, in full":      integers("e20"),
		"sets, 38 digits":    integers("e36"),
		"small numbers":      user.Number("-1e-130"),
		"empty binary":       user.Binary{},
		"empty strings":      "",
		"control characters": "\x00\x00\x00\x00\x00\x00\x00",
		"lists":              []any{},
		"booleans":           false,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one := (user.Attributes{"x": []any{element}}).Size() - (user.Attributes{"x": []any{}}).Size()
			largest := user.Attributes{"userId": "1", "x": slices.Repeat([]any{element}, (400<<10-20)/one)}
			if err := largest.CheckSize(); err != nil {
				t.Fatal(err)
			}
			body, err := json.Marshal(string(largest.AppendJSON(nil)))
			if err != nil {
				t.Fatal(err)
			}
			if len(body) > limit {
				t.Errorf("%d bytes, want at most %d", len(body), limit)
			}
		})
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	base := user.Attributes{"a": user.Number("10"), "s": user.NumberSet{"1", "2"}, "m": map[string]any{"x": "1", "y": "2"}}
	same := user.Attributes{
		"m": map[string]any{"y": "2", "x": "1"}, "s": user.NumberSet{"2.0", "1"}, "a": user.Number("1e1"),
	}
	if base.Hash() != same.Hash() {
		t.Errorf("got the hashes %s and %s for equal users, want one", base.Hash(), same.Hash())
	}
	with := func(name string, value any) user.Attributes {
		changed := maps.Clone(base)
		changed[name] = value
		return changed
	}
	for name, users := range map[string][2]user.Attributes{
		"string and number":      {with("a", "10"), base},
		"list and set":           {with("s", []any{user.Number("1"), user.Number("2")}), base},
		"smaller set":            {with("s", user.NumberSet{"1"}), base},
		"no attributes":          {{}, base},
		"escaped map and binary": {with("a", map[string]any{"$B": "YQ=="}), with("a", user.Binary("a"))},
		"empty binary and null":  {with("a", user.Binary(nil)), with("a", nil)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := users[0].Hash(); got == users[1].Hash() {
				t.Errorf("got the hash %s for %v and %v, want two hashes", got, users[0], users[1])
			}
		})
	}
}
