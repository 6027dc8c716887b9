package cfn

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Parameters are the declarations of parameters by name.
type Parameters map[string]parameter

// parameter is a declaration of a parameter ("CloudFormation template Parameters syntax").
type parameter struct {
	list          bool // comma-separated values, which are checked one by one
	number        bool
	defaultValue  *string
	allowedValues []string
	pattern       *regexp.Regexp // matches the whole value
	minValue      float64
	maxValue      float64
	minLength     float64 // in characters
	maxLength     float64
	constraint    string // ConstraintDescription
}

// ParseParameters reads the section Parameters of a template.
func ParseParameters(section Object) (Parameters, error) {
	parameters := Parameters{}
	for _, name := range slices.Sorted(maps.Keys(section)) {
		p, err := parseParameter(Mapping(section, name))
		if err != nil {
			return nil, fmt.Errorf("Parameters.%s%w", name, err)
		}
		parameters[name] = p
	}
	return parameters, nil
}

func parseParameter(attributes Object) (parameter, error) {
	p := parameter{minValue: math.Inf(-1), maxValue: math.Inf(1), maxLength: math.Inf(1)}
	for _, attribute := range slices.Sorted(maps.Keys(attributes)) {
		value := attributes[attribute]
		str := Text(value)
		var err error
		switch attribute {
		case "Type":
			switch str {
			case "String":
			case "Number":
				p.number = true
			case "CommaDelimitedList":
				p.list = true
			case "List<Number>":
				p.list, p.number = true, true
			default:
				err = fmt.Errorf("the type %s is not supported", str)
			}
		case "Default":
			if p.defaultValue = &str; !IsScalar(value) {
				err = errors.New("want a string or a number")
			}
		case "AllowedValues":
			list, ok := value.([]any)
			if !ok {
				err = errors.New("want a list")
			}
			for _, v := range list {
				p.allowedValues = append(p.allowedValues, Text(v))
			}
		case "AllowedPattern":
			p.pattern, err = regexp.Compile(`^(?:` + str + `)$`)
		case "MinValue":
			p.minValue, err = ParseNumber(value)
		case "MaxValue":
			p.maxValue, err = ParseNumber(value)
		case "MinLength":
			p.minLength, err = ParseNumber(value)
		case "MaxLength":
			p.maxLength, err = ParseNumber(value)
		case "ConstraintDescription":
			p.constraint = str
		case "Description", "NoEcho":
		default:
			err = errors.New("this attribute of a parameter is not supported")
		}
		if err != nil {
			return parameter{}, fmt.Errorf(".%s: %w", attribute, err)
		}
	}
	if attributes["Type"] == nil {
		return parameter{}, errors.New(".Type: missing")
	}
	if p.defaultValue != nil {
		if err := p.check(*p.defaultValue); err != nil {
			return parameter{}, fmt.Errorf(".Default: %w", err)
		}
	}
	return p, nil
}

// ParameterError is an error in the value of a parameter.
type ParameterError struct {
	Parameter string
	Err       error
}

// Values returns the value of each parameter for CloudFormation: the given value or the default. The late parameters
// need no value yet.
func (p Parameters) Values(given map[string]string, late ...string) (map[string]string, []ParameterError) {
	var faults []ParameterError
	refuse := func(name string, err error) { faults = append(faults, ParameterError{name, err}) }
	names := slices.Sorted(maps.Keys(p))
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(names, name) {
			refuse(name, fmt.Errorf("the template has no such parameter; its parameters are %s", strings.Join(names, ", ")))
		}
	}
	values := map[string]string{}
	for _, name := range names {
		declared := p[name]
		value, ok := given[name]
		switch {
		case !ok && slices.Contains(late, name):
			continue
		case !ok && declared.defaultValue == nil:
			refuse(name, errors.New("it has no default: set a value"))
			continue
		case !ok:
			value = *declared.defaultValue
		}
		if err := declared.check(value); err != nil {
			refuse(name, err)
			continue
		}
		values[name] = value
	}
	return values, faults
}

// Refs returns the value of Ref for each parameter of a section Parameters: a string or a list of strings.
func Refs(section Object, values map[string]string) map[string]any {
	refs := map[string]any{}
	for name := range section {
		switch Text(section, name, "Type") {
		case "CommaDelimitedList", "List<Number>":
			list := []any{}
			for _, v := range split(values[name]) {
				list = append(list, v)
			}
			refs[name] = list
		default:
			refs[name] = values[name]
		}
	}
	return refs
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	elements := strings.Split(list, ",")
	for i := range elements {
		elements[i] = strings.TrimSpace(elements[i])
	}
	return elements
}

func (p parameter) check(value string) error {
	elements := []string{value}
	if p.list {
		elements = split(value)
	}
	for _, v := range elements {
		if err := p.checkOne(v); err != nil {
			if p.constraint != "" {
				return fmt.Errorf("%w: %s", err, p.constraint)
			}
			return err
		}
	}
	return nil
}

func (p parameter) checkOne(value string) error {
	length := float64(utf8.RuneCountInString(value))
	switch {
	case p.allowedValues != nil && !slices.Contains(p.allowedValues, value):
		return fmt.Errorf("%q is none of %s", value, strings.Join(p.allowedValues, ", "))
	case p.pattern != nil && !p.pattern.MatchString(value):
		return fmt.Errorf("%q does not match %s", value, p.pattern)
	case length < p.minLength:
		return fmt.Errorf("%q has fewer than %v characters", value, p.minLength)
	case length > p.maxLength:
		return fmt.Errorf("%q has more than %v characters", value, p.maxLength)
	case !p.number:
		return nil
	}
	n, err := ParseNumber(value)
	switch {
	case err != nil:
		return err
	case n < p.minValue:
		return fmt.Errorf("%s is less than %v", value, p.minValue)
	case n > p.maxValue:
		return fmt.Errorf("%s is more than %v", value, p.maxValue)
	}
	return nil
}

// decimal matches JSON numbers without an exponent, because a reference can insert the value into JSON.
var decimal = regexp.MustCompile(`^-?(0|[1-9]\d*)(\.\d+)?$`)

// ParseNumber parses a number, which may be a string as in the value of a parameter.
func ParseNumber(value any) (float64, error) {
	str := Text(value)
	n, err := strconv.ParseFloat(str, 64)
	if err != nil || !decimal.MatchString(str) {
		return 0, fmt.Errorf("want a number such as 12 or 0.5, got %q", fmt.Sprint(value))
	}
	return n, nil
}
