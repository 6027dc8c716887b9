package user_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/shared/user"
)

// nested returns a user with this number of nested levels, including the user itself.
func nested(levels int, open, bottom, closing string) string {
	return `{"v":` + strings.Repeat(open, levels-2) + bottom + strings.Repeat(closing, levels-2) + `}`
}

func TestDecode_Invalid(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 1<<16)
	for name, test := range map[string]struct {
		body      string
		code      user.Code
		violation string // its code
		pointer   string
	}{
		"empty":           {"", user.InvalidBody, "Empty", "#"},
		"white space":     {" \r\n\t", user.InvalidBody, "Empty", "#"},
		"not JSON":        {"name=Ada", user.InvalidBody, "InvalidJSON", "#"},
		"not null":        {"nobody", user.InvalidBody, "InvalidJSON", "#"},
		"not a string":    {`"Ada`, user.InvalidBody, "InvalidJSON", "#"},
		"XML":             {"<user/>", user.InvalidBody, "InvalidJSON", "#"},
		"byte order mark": {"\ufeff{}", user.InvalidBody, "InvalidJSON", "#"},
		"array":           {`[{"userId":"1"}]`, user.InvalidBody, "NotAnObject", "#"},
		"string":          {`"1"`, user.InvalidBody, "NotAnObject", "#"},
		"number":          {"-1", user.InvalidBody, "NotAnObject", "#"},
		"null":            {"null", user.InvalidBody, "NotAnObject", "#"},
		"true":            {"true", user.InvalidBody, "NotAnObject", "#"},
		"false":           {" false ", user.InvalidBody, "NotAnObject", "#"},
		"base64":          {base64.StdEncoding.EncodeToString([]byte(`{"userId":"1"}`)), user.InvalidBody, "Base64", "#"},
		"base64 with newline": {
			base64.StdEncoding.EncodeToString([]byte(`{"userId":"12"}`)) + "\n", user.InvalidBody, "Base64", "#",
		},

		"comment":                {`{"a":1/**/}`, user.InvalidBody, "InvalidJSON", "#"},
		"trailing comma":         {`{"a":1,}`, user.InvalidBody, "InvalidJSON", "#"},
		"trailing comma in list": {`{"a":[1,]}`, user.InvalidBody, "InvalidJSON", "#/a"},
		"missing comma":          {`{"a":1 "b":2}`, user.InvalidBody, "InvalidJSON", "#"},
		"single quotes":          {`{'a':1}`, user.InvalidBody, "InvalidJSON", "#"},
		"unquoted name":          {`{a:1}`, user.InvalidBody, "InvalidJSON", "#"},
		"number as name":         {`{1:1}`, user.InvalidBody, "InvalidJSON", "#"},
		"NaN":                    {`{"a":NaN}`, user.InvalidBody, "InvalidJSON", "#/a"},
		"leading zero":           {`{"a":01}`, user.InvalidBody, "InvalidJSON", "#"},
		"leading plus":           {`{"a":+1}`, user.InvalidBody, "InvalidJSON", "#/a"},
		"leading point":          {`{"a":.5}`, user.InvalidBody, "InvalidJSON", "#/a"},
		"hexadecimal":            {`{"a":0x1}`, user.InvalidBody, "InvalidJSON", "#"},
		"upper case":             {`{"a":True}`, user.InvalidBody, "InvalidJSON", "#/a"},
		"control character":      {"{\"a\":\"\n\"}", user.InvalidBody, "InvalidJSON", "#/a"},
		"unknown escape":         {`{"a":"\x41"}`, user.InvalidBody, "InvalidJSON", "#/a"},
		"wrong bracket":          {`{"a":[1}`, user.InvalidBody, "InvalidJSON", "#/a"},
		"truncated":              {`{"a":[1,{"b":`, user.InvalidBody, "InvalidJSON", "#/a/1/b"},
		"truncated string":       {`{"a":"`, user.InvalidBody, "InvalidJSON", "#/a"},
		"truncated after brace":  {`{`, user.InvalidBody, "InvalidJSON", "#"},

		"duplicate name":          {`{"a":1,"a":2}`, user.InvalidBody, "DuplicateName", "#/a"},
		"duplicate name, escaped": {`{"ab":1,"\u0061b":1}`, user.InvalidBody, "DuplicateName", "#/ab"},
		"duplicate name, nested": {
			`{"a":[{},{"b c":{"d":1,"e":2,"d":3}}]}`, user.InvalidBody, "DuplicateName", "#/a/1/b%20c/d",
		},
		"trailing object":       {`{}{}`, user.InvalidBody, "TrailingData", "#"},
		"trailing bracket":      {`{}}`, user.InvalidBody, "TrailingData", "#"},
		"trailing text":         {`{} x`, user.InvalidBody, "TrailingData", "#"},
		"trailing zero byte":    {"{}\x00", user.InvalidBody, "TrailingData", "#"},
		"invalid UTF-8":         {"{\"a\":\"\xff\"}", user.InvalidBody, "InvalidUTF8", "#"},
		"invalid UTF-8 in name": {"{\"\xc3\x28\":1}", user.InvalidBody, "InvalidUTF8", "#"},
		"overlong UTF-8":        {"{\"a\":\"\xc0\xaf\"}", user.InvalidBody, "InvalidUTF8", "#"},
		"surrogate in UTF-8":    {"{\"a\":\"\xed\xa0\x80\"}", user.InvalidBody, "InvalidUTF8", "#"},
		"replaced UTF-8":        {"{\"a\":\"\ufffd\"}", user.InvalidBody, "InvalidUTF8", "#"},
		"lone surrogate":        {`{"a":["\ud83d"]}`, user.InvalidBody, "InvalidUTF8", "#/a/0"},
		"surrogates reversed":   {`{"a":"\ude00\ud83d"}`, user.InvalidBody, "InvalidUTF8", "#/a"},

		"33 lists":           {nested(34, "[", "1", "]"), user.InvalidUser, "TooDeep", "#"},
		"33 maps":            {nested(34, `{"a":`, "1", "}"), user.InvalidUser, "TooDeep", "#"},
		"33 lists, empty":    {nested(33, "[", "[]", "]"), user.InvalidUser, "TooDeep", "#"},
		"set in 32 lists":    {nested(34, "[", `{"$SS":["a"]}`, "]"), user.InvalidUser, "TooDeep", "#"},
		"100,000 lists":      {`{"a":` + strings.Repeat("[", 100_000), user.InvalidUser, "TooDeep", "#"},
		"100,000 maps":       {strings.Repeat(`{"a":`, 100_000), user.InvalidUser, "TooDeep", "#"},
		"empty name":         {`{"":1}`, user.InvalidUser, "EmptyName", "#/"},
		"empty name, nested": {`{"a":{"":{"b":1}}}`, user.InvalidUser, "EmptyName", "#/a/"},
		"long name":          {`{"a":{"` + long + `":1}}`, user.InvalidUser, "NameTooLong", "#/a"},

		"39 digits": {
			`{"n":123456789012345678901234567890123456789}`, user.InvalidUser, "NumberPrecision", "#/n",
		},
		"39 digits in a fraction": {
			`{"n":0.000123456789012345678901234567890123456789}`, user.InvalidUser, "NumberPrecision", "#/n",
		},
		"39 digits, zeros inside": {
			`{"n":-1.00000000000000000000000000000000000001}`, user.InvalidUser, "NumberPrecision", "#/n",
		},
		"too large":              {`{"n":1e126}`, user.InvalidUser, "NumberRange", "#/n"},
		"too large, negative":    {`{"n":[0,-10e125]}`, user.InvalidUser, "NumberRange", "#/n/1"},
		"too large, written out": {`{"n":1` + strings.Repeat("0", 126) + `}`, user.InvalidUser, "NumberRange", "#/n"},
		"too small":              {`{"n":9e-131}`, user.InvalidUser, "NumberRange", "#/n"},
		"too small, written out": {`{"n":0.` + strings.Repeat("0", 130) + `1}`, user.InvalidUser, "NumberRange", "#/n"},
		"exponent of 12 digits":  {`{"n":1e999999999999}`, user.InvalidUser, "NumberRange", "#/n"},
		"negative, of 12 digits": {`{"n":1e-999999999999}`, user.InvalidUser, "NumberRange", "#/n"},
		"exponent of 20 digits":  {`{"n":1e99999999999999999999}`, user.InvalidUser, "NumberRange", "#/n"},
		"exponent of 64 bits":    {`{"n":0.1e-9223372036854775808}`, user.InvalidUser, "NumberRange", "#/n"},

		"binary, not base64":         {`{"b":{"$B":"*"}}`, user.InvalidUser, "InvalidTypedValue", "#/b"},
		"binary, no padding":         {`{"b":{"$B":"YQ"}}`, user.InvalidUser, "InvalidTypedValue", "#/b"},
		"binary, trailing bits":      {`{"b":{"$B":"YR=="}}`, user.InvalidUser, "InvalidTypedValue", "#/b"},
		"binary, base64url":          {`{"b":{"$B":"-_-_"}}`, user.InvalidUser, "InvalidTypedValue", "#/b"},
		"binary, newline":            {`{"b":{"$B":"YQ\n=="}}`, user.InvalidUser, "InvalidTypedValue", "#/b"},
		"binary, a number":           {`{"b":{"$B":1}}`, user.InvalidUser, "InvalidTypedValue", "#/b"},
		"binary, null":               {`{"b":{"$B":null}}`, user.InvalidUser, "InvalidTypedValue", "#/b"},
		"string set, empty":          {`{"s":{"$SS":[]}}`, user.InvalidUser, "InvalidTypedValue", "#/s"},
		"string set, not a list":     {`{"s":{"$SS":"a"}}`, user.InvalidUser, "InvalidTypedValue", "#/s"},
		"string set, a number":       {`{"s":{"$SS":["a",1]}}`, user.InvalidUser, "InvalidTypedValue", "#/s"},
		"string set, duplicate":      {`{"s":[{"$SS":["a","b","\u0061"]}]}`, user.InvalidUser, "InvalidTypedValue", "#/s/0"},
		"number set, a string":       {`{"s":{"$NS":["1"]}}`, user.InvalidUser, "InvalidTypedValue", "#/s"},
		"number set, duplicate":      {`{"s":{"$NS":[1,1.0]}}`, user.InvalidUser, "InvalidTypedValue", "#/s"},
		"number set, duplicate zero": {`{"s":{"$NS":[0,-0e5]}}`, user.InvalidUser, "InvalidTypedValue", "#/s"},
		"binary set, duplicate":      {`{"s":{"$BS":["YQ==","YQ=="]}}`, user.InvalidUser, "InvalidTypedValue", "#/s"},
		"binary set, map":            {`{"s":{"$BS":[{"$B":"YQ=="}]}}`, user.InvalidUser, "InvalidTypedValue", "#/s"},
		"set in a map, long pointer": {`{"` + long[1:] + `":{"$SS":[]}}`, user.InvalidUser, "InvalidTypedValue", "#"},
		"pointer with escapes": {
			`{"a/b~c d\"é%":1e126}`, user.InvalidUser, "NumberRange", "#/a~1b~0c%20d%22%C3%A9%25",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := user.Decode([]byte(test.body))
			var refused *user.Error
			if !errors.As(err, &refused) {
				t.Fatalf("got %v, error %v, want %s", got, err, test.code)
			}
			if got != nil {
				t.Errorf("got %v, want nil with an error", got)
			}
			if refused.Code != test.code || refused.Detail == "" {
				t.Errorf("got code %s, detail %q, want code %s", refused.Code, refused.Detail, test.code)
			}
			v := refused.Violations
			if len(v) != 1 || v[0].Code != test.violation || v[0].Pointer != test.pointer || v[0].Detail != refused.Detail {
				t.Errorf("got violations %+v, want %s at %s", v, test.violation, test.pointer)
			}
		})
	}
}

func TestDecode_Violations(t *testing.T) {
	t.Parallel()
	_, err := user.Decode([]byte(`{"a":1e126,"b":[{"$SS":[]}],"c":{"":1}}`))
	var refused *user.Error
	if !errors.As(err, &refused) {
		t.Fatal(err)
	}
	var got []string
	for _, v := range refused.Violations {
		got = append(got, v.Code+" "+v.Pointer)
	}
	want := []string{"NumberRange #/a", "InvalidTypedValue #/b/0", "EmptyName #/c/"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	// Without the limit, the pointers of 250,000 violations under a long name would take minutes.
	_, err = user.Decode([]byte(`{"` + strings.Repeat("a", 60_000) + `":[` + strings.Repeat("1e126,", 250_000) + `1]}`))
	if !errors.As(err, &refused) || len(refused.Violations) != 10 {
		t.Errorf("got error %v with %d violations, want 10", err, len(refused.Violations))
	}
}

func TestDecode_TooLarge(t *testing.T) {
	t.Parallel()
	tooLarge := &user.Error{Code: user.BodyTooLarge}
	if _, err := user.Decode([]byte(strings.Repeat(" ", user.MaxBody-2) + "{}")); err != nil {
		t.Errorf("%d bytes: got error %v, want none", user.MaxBody, err)
	}
	for name, body := range map[string]string{
		"MaxBody plus a byte":      strings.Repeat(" ", user.MaxBody-1) + "{}",
		"item limit plus a byte":   `{"a":"` + strings.Repeat("x", 409_600) + `"}`,
		"long string":              `{"a":"` + strings.Repeat("x", 2_000_000) + `"}`,
		"long list of empty maps":  `{"a":[` + strings.Repeat("{},", 800_000) + `{}]}`,
		"long list of empty lists": `{"a":[` + strings.Repeat("[],", 800_000) + `[]]}`,
		"long list of numbers":     `{"a":[` + strings.Repeat("1,", 1_000_000) + `1]}`,
		"long list of small maps":  `{"a":[` + strings.Repeat(`{"a":1},`, 300_000) + `1]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := user.Decode([]byte(body)); !errors.Is(err, tooLarge) {
				t.Errorf("got error %v, want %v", err, tooLarge)
			}
		})
	}
	// The largest binary set has the largest ratio of JSON to item size.
	var elements []string
	for size, i := 0, 0; size+3 <= 409_600-len("userId1a"); i++ {
		b := binary.BigEndian.AppendUint32(nil, uint32(i))[1:]
		switch {
		case i < 1<<8:
			b = b[2:]
		case i < 1<<16:
			b = b[1:]
		}
		size += len(b)
		elements = append(elements, base64.StdEncoding.EncodeToString(b))
	}
	if _, err := user.Decode([]byte(`{"userId":"1","a":{"$BS":["` + strings.Join(elements, `","`) + `"]}}`)); err != nil {
		t.Errorf("largest set: got error %v, want none", err)
	}
	// The largest user with the longest JSON.
	longest := strings.Repeat(`\u0000`, 409_600-len("userId1a"))
	attributes, err := user.Decode([]byte(`{"userId":"1","a":"` + longest + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	if attributes.Size() != 409_600 {
		t.Errorf("got size %d, want 409600", attributes.Size())
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	n := func(s string) user.Attributes { return user.Attributes{"n": user.Number(s)} }
	for body, want := range map[string]user.Attributes{
		"{}":                       {},
		" \n{ \"a\" :\t\"b\" }\r ": {"a": "b"},
		`{"a":null,"b":true,"c":false,"d":"","e":[],"f":{}}`: {
			"a": nil, "b": true, "c": false, "d": "", "e": []any{}, "f": map[string]any{}},
		`{"a":{"b":[1,"2",{"c":null}]}}`: {
			"a": map[string]any{"b": []any{user.Number("1"), "2", map[string]any{"c": nil}}}},
		`{"\u0061":"\"\\\/\b\f\n\r\t\u20ac\ud83d\ude00 é 😀\ufffd"}`: {"a": "\"\\/\b\f\n\r\t€😀 é 😀\ufffd"},

		`{"n":12345678901234567890.123456789}`:            n("12345678901234567890.123456789"),
		`{"n":12345678901234567890123456789012345678}`:    n("12345678901234567890123456789012345678"),
		`{"n":0.012345678901234567890123456789012345678}`: n("0.012345678901234567890123456789012345678"),
		`{"n":1e125}`: n("1e+125"),
		`{"n":-9.9999999999999999999999999999999999999E+125}`: n("-9.9999999999999999999999999999999999999e+125"),
		`{"n":1e-130}`:   n("1e-130"),
		`{"n":0.1e-129}`: n("1e-130"),
		`{"n":1.50}`:     n("1.5"),
		`{"n":1` + strings.Repeat("0", 125) + `}`: n("1e+125"),
		`{"n":-0}`:                          n("0"),
		`{"n":0e999}`:                       n("0"),
		`{"n":0.00e-999999999999999999999}`: n("0"),
		`{"n":12` + strings.Repeat("0", 300) + `e-300}`:    n("12"),
		`{"n":-0.` + strings.Repeat("0", 300) + `123e301}`: n("-1.23"),

		`{"b":{"$B":"AP8="}}`:                       {"b": user.Binary{0, 0xff}},
		`{"b":{"$B":""}}`:                           {"b": user.Binary{}},
		`{"s":{"$SS":["a",""]}}`:                    {"s": user.StringSet{"a", ""}},
		`{"s":{"$NS":[1,2.5,-1e5]}}`:                {"s": user.NumberSet{"1", "2.5", "-100000"}},
		`{"s":{"$BS":["YQ==","Yg=="]}}`:             {"s": user.BinarySet{[]byte("a"), []byte("b")}},
		`{"s":[{"$SS":["a"]},{"m":{"$B":"YQ=="}}]}`: {"s": []any{user.StringSet{"a"}, map[string]any{"m": user.Binary("a")}}},
		`{"s":{"$$SS":["a"]}}`:                      {"s": map[string]any{"$SS": []any{"a"}}},
		`{"s":{"$$$SS":["a"]}}`:                     {"s": map[string]any{"$$SS": []any{"a"}}},
		`{"s":{"$$B":{"$B":"YQ=="}}}`:               {"s": map[string]any{"$B": user.Binary("a")}},
		`{"s":{"$SS":["a"],"x":1}}`:                 {"s": map[string]any{"$SS": []any{"a"}, "x": user.Number("1")}},
		`{"s":{"$S":"a"}}`:                          {"s": map[string]any{"$S": "a"}},
		`{"s":{"SS":["a"]}}`:                        {"s": map[string]any{"SS": []any{"a"}}},
		`{"s":{"$ss":["a"]}}`:                       {"s": map[string]any{"$ss": []any{"a"}}},
		`{"$SS":["a"]}`:                             {"$SS": []any{"a"}}, // a user is always a map
	} {
		t.Run(fmt.Sprintf("%.60s", body), func(t *testing.T) {
			t.Parallel()
			got, err := user.Decode([]byte(body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			encoded := string(got.AppendJSON(nil))
			decoded, err := user.Decode([]byte(encoded))
			if diff := cmp.Diff(encoded, string(decoded.AppendJSON(nil))); diff != "" || err != nil {
				t.Errorf("encoded and decoded: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestDecode_Depth(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"lists":          nested(33, "[", "1", "]"),
		"empty lists":    nested(32, "[", "[]", "]"),
		"maps":           nested(33, `{"a":`, "1", "}"),
		"escaped maps":   nested(33, `{"$$SS":`, "1", "}"),
		"sets in lists":  nested(33, "[", `{"$SS":["a"]}`, "]"),
		"binary in maps": nested(33, `{"a":`, `{"$B":"YQ=="}`, "}"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := user.Decode([]byte(body))
			if err != nil {
				t.Fatal(err)
			}
			if decoded, err := user.Decode(got.AppendJSON(nil)); err != nil || decoded.Hash() != got.Hash() {
				t.Errorf("encoded and decoded: got %v, error %v, want %v", decoded, err, got)
			}
		})
	}
}

// TestDecode_ErrorHasNoValues checks that errors, which are logged, contain nothing that a client sent.
func TestDecode_ErrorHasNoValues(t *testing.T) {
	t.Parallel()
	const secret = "MARKED"
	for _, format := range []string{
		`%s`, `"%s"`, `{"%s"`, `{"%s":1,"%[1]s":2}`, `{"%s":1e126}`, `{"a":"%s\q"}`, `{"a":{"$B":"%s*"}}`, `{"a":{"%s":01}}`,
		`{}%s`, `{"a":%s}`,
	} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			_, err := user.Decode(fmt.Appendf(nil, format, secret))
			var refused *user.Error
			if !errors.As(err, &refused) {
				t.Fatalf("got error %v, want a *user.Error", err)
			}
			if strings.Contains(err.Error(), secret) || strings.Contains(refused.Detail, secret) {
				t.Errorf("got error %v, detail %s, want none of the values sent", err, refused.Detail)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"userId":"1","name":"Ada","email":"ada@example.org","age":36,"tags":{"$SS":["a","b"]},"b":{"$B":"AP8="}}`,
		`{"n":{"$NS":[1,-2.50,1e-130,0e99]},"bs":{"$BS":["YQ==",""]},"m":{"$$B":[null,true,false,[],{}]},"$B":"x"}`,
		`{"a":"\ud83d\ude00\u0000\ufffd\/","a\u0062":"é","n":12345678901234567890123456789012345678}`,
		`{"a":"\ud83d"}`, `{"a":1,"\u0061":2}`, `{"a":1}}`, `[1]`, `null`, "{\"a\":\"\xff\"}", `{"":{"":""}}`,
		`{"$SS":{"$SS":["a"]}}`, nested(33, "[", "1", "]"), nested(33, `{"a":`, `{"$SS":["a"]}`, "}"),
		strings.Repeat("[", 50), `eyJ1c2VySWQiOiIxIn0=`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		attributes, err := user.Decode(body)
		if err != nil {
			var refused *user.Error
			if attributes != nil || !errors.As(err, &refused) || refused.Detail == "" {
				t.Fatalf("got %v with error %v, want nil and an error with a detail", attributes, err)
			}
			return
		}
		encoded := attributes.AppendJSON(nil)
		decoded, err := user.Decode(encoded)
		if err != nil {
			t.Fatalf("decode %s: %v", encoded, err)
		}
		if got := decoded.AppendJSON(nil); !bytes.Equal(got, encoded) {
			t.Fatalf("encoded again: got %s, want %s", got, encoded)
		}
		if got, want := decoded.Size(), attributes.Size(); got != want {
			t.Errorf("decode %s: got size %d, want %d", encoded, got, want)
		}
	})
}
