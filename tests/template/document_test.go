package template_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"strconv"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// TestExamples checks that the examples of the API document are valid.
func TestExamples(t *testing.T) {
	t.Parallel()
	if err := apiDocument(t).Validate(t.Context(), openapi3.EnableExamplesValidation()); err != nil {
		t.Error(err)
	}
}

// TestNumbers checks that the API document has no number that JavaScript would round, as Swagger UI, Redoc and generated
// clients would show another number. Write such a number in a description instead.
func TestNumbers(t *testing.T) {
	t.Parallel()
	decoder := json.NewDecoder(bytes.NewReader(apiDocument(t).Public().JSON()))
	decoder.UseNumber()
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		number, ok := token.(json.Number)
		if !ok {
			continue
		}
		value, err := number.Float64()
		if err != nil {
			t.Error(err)
			continue
		}
		exact, _ := new(big.Rat).SetString(number.String())
		shown, _ := new(big.Rat).SetString(strconv.FormatFloat(value, 'g', -1, 64))
		if exact.Cmp(shown) != 0 {
			t.Errorf("JavaScript rounds %s to %v, want a number that it does not round", number, value)
		}
	}
}
