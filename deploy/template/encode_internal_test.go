package template

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEncodeJSON checks the encoding exactly: the ids of versions contain digests of it, so another encoding would
// publish new versions.
func TestEncodeJSON(t *testing.T) {
	t.Parallel()
	for _, value := range []any{
		nil, true, false, int64(-1), int64(math.MaxInt64), 0.5, 1e21, 1e-7, float64(3), json.Number("1.0"),
		"", "text", `"quotes" and \`, "lines\nand\ttabs\r\b\f", "\x00\x1f\x7f", "<a href=\"b\">&</a>", "ö 日 🙂", "\u2028\u2029", "invalid \xff",
		object{}, object(nil), object{"b": int64(1), "a": nil, "ä\n": object{"c": []any{}}},
		[]any{}, []any(nil), []any{int64(1), "a", object{"x": []any{true}}, 2.5},
		[]string{"<"}, map[string]string{"k": "v"}, struct{ A string }{"&"},
	} {
		t.Run(fmt.Sprintf("%T %.20q", value, fmt.Sprint(value)), func(t *testing.T) {
			t.Parallel()
			got, err := encodeJSON(value)
			if err != nil {
				t.Fatal(err)
			}
			var want bytes.Buffer
			encoder := json.NewEncoder(&want)
			encoder.SetEscapeHTML(false)
			if err := encoder.Encode(value); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.String(), string(got)+"\n"); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	for name, value := range map[string]any{
		"NaN": math.NaN(), "infinity in a list": object{"a": []any{math.Inf(1)}}, "channel": make(chan int),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := encodeJSON(value); err == nil {
				t.Errorf("got %s, want an error", got)
			}
		})
	}
}

func TestEscapeUnicode(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``: ``, `"a"`: `"a"`, `"ö"`: `"\u00f6"`, `日本x🙂`: `\u65e5\u672cx\ud83d\ude42`,
	} {
		t.Run(strconv.Quote(text), func(t *testing.T) {
			t.Parallel()
			if got := string(escapeUnicode([]byte(text))); got != want {
				t.Errorf("escapeUnicode(%s) = %s, want %s", text, got, want)
			}
		})
	}
}
