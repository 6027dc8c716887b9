// Package cfn implements the CloudFormation language: YAML with the short forms of intrinsic functions, loops,
// parameters, conditions, intrinsic functions and references.
//
// A template is an [Object] with intrinsic functions in their long form, as [ParseYAML] and [ParseJSON] return it. An
// [Evaluator] evaluates its values for given parameters. Its caller supplies the values of references to resources.
package cfn

import "strconv"

// Object is a mapping of YAML and JSON. Its values are Object, []any, string, bool, int64, float64 and nil.
type Object = map[string]any

// At returns the value at a path of keys, or nil.
func At(value any, keys ...string) any {
	for _, key := range keys {
		o, _ := value.(Object) // a nil map has no keys
		value = o[key]
	}
	return value
}

// Mapping returns the mapping at a path of keys, or nil, which can be read as an empty mapping.
func Mapping(value any, keys ...string) Object {
	o, _ := At(value, keys...).(Object) // nil otherwise
	return o
}

// IsScalar reports whether a value is a string, a Boolean or a number, which CloudFormation converts to each other.
func IsScalar(value any) bool {
	switch value.(type) {
	case string, bool, int64, float64:
		return true
	}
	return false
}

// Text returns the scalar at a path of keys as the string to which CloudFormation converts it, and "" for other values.
func Text(value any, keys ...string) string {
	switch v := At(value, keys...).(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}

// Clone returns a deep copy of a value.
func Clone[T any](value T) T {
	copied, _ := clone(value).(T) // clone keeps the type
	return copied
}

func clone(value any) any {
	switch v := value.(type) {
	case Object:
		if v == nil {
			return value
		}
		c := make(Object, len(v))
		for key, element := range v {
			c[key] = clone(element)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, element := range v {
			c[i] = clone(element)
		}
		return c
	}
	return value
}

// Walk calls visit for each mapping in a value and its path, a mapping before those in it, otherwise in any order.
func Walk(path string, value any, visit func(path string, o Object)) {
	switch v := value.(type) {
	case Object:
		visit(path, v)
		for key, element := range v {
			if !isLeaf(element) {
				Walk(path+"."+key, element, visit)
			}
		}
	case []any:
		for i, element := range v {
			if !isLeaf(element) {
				Walk(path+"."+strconv.Itoa(i), element, visit)
			}
		}
	}
}

// isLeaf reports whether a value contains no others, so that it needs no path.
func isLeaf(value any) bool {
	switch value.(type) {
	case Object, []any:
		return false
	}
	return true
}
