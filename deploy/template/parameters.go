package template

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// parameter is a declaration of a parameter in template.yaml ("CloudFormation template Parameters syntax").
type parameter struct {
	name          string
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
	late          bool   // only CloudFormation needs its value, not the rendering
}

func parseParameters(section object) (map[string]parameter, error) {
	parameters := map[string]parameter{}
	for _, name := range sortedKeys(section) {
		p, err := parseParameter(name, member(section, name))
		if err != nil {
			return nil, fmt.Errorf("Parameters.%s%w", name, err)
		}
		parameters[name] = p
	}
	return parameters, nil
}

func parseParameter(name string, attributes object) (parameter, error) {
	p := parameter{name: name, late: name == bucketParameter, minValue: math.Inf(-1), maxValue: math.Inf(1),
		maxLength: math.Inf(1)}
	for _, attribute := range sortedKeys(attributes) {
		value := attributes[attribute]
		text, isScalar := scalarText(value)
		var err error
		switch attribute {
		case "Type":
			switch text {
			case "String":
			case "Number":
				p.number = true
			case "CommaDelimitedList":
				p.list = true
			case "List<Number>":
				p.list, p.number = true, true
			default:
				err = fmt.Errorf("the type %s is not supported", text)
			}
		case "Default":
			if p.defaultValue = &text; !isScalar {
				err = errors.New("want a string or a number")
			}
		case "AllowedValues":
			list, ok := value.([]any)
			if !ok {
				err = errors.New("want a list")
			}
			for _, v := range list {
				allowed, _ := scalarText(v)
				p.allowedValues = append(p.allowedValues, allowed)
			}
		case "AllowedPattern":
			p.pattern, err = regexp.Compile(`^(?:` + text + `)$`)
		case "MinValue":
			p.minValue, err = parseNumber(value)
		case "MaxValue":
			p.maxValue, err = parseNumber(value)
		case "MinLength":
			p.minLength, err = parseNumber(value)
		case "MaxLength":
			p.maxLength, err = parseNumber(value)
		case "ConstraintDescription":
			p.constraint = text
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

// valueFault is an error in the value of a parameter.
type valueFault struct {
	parameter string
	err       error
}

// joinFaults joins the faults. place returns the position of the value of a parameter, such as file:line:column, or
// "" if it is unknown.
func joinFaults(faults []valueFault, place func(parameter string) string) error {
	errs := make([]error, len(faults))
	for i, f := range faults {
		label := "parameter"
		if p := place(f.parameter); p != "" {
			label = p + ":"
		}
		errs[i] = fmt.Errorf("%s %s: %w", label, f.parameter, f.err)
	}
	return errors.Join(errs...)
}

// nowhere is the place function for values that come from no file.
func nowhere(string) string { return "" }

// parameterValues returns the value of each parameter for CloudFormation: the given value or the default.
func parameterValues(parameters map[string]parameter, given map[string]string) (map[string]string, []valueFault) {
	var faults []valueFault
	refuse := func(name string, err error) { faults = append(faults, valueFault{name, err}) }
	for _, name := range sortedKeys(given) {
		if _, ok := parameters[name]; !ok {
			refuse(name, fmt.Errorf("the template has no such parameter; its parameters are %s",
				strings.Join(sortedKeys(parameters), ", ")))
		}
	}
	values := map[string]string{}
	for _, name := range sortedKeys(parameters) {
		p := parameters[name]
		value, ok := given[name]
		switch {
		case !ok && p.late:
			continue
		case !ok && p.defaultValue == nil:
			refuse(name, errors.New("it has no default: set a value"))
			continue
		case !ok:
			value = *p.defaultValue
		}
		if err := p.check(value); err != nil {
			refuse(name, err)
			continue
		}
		values[name] = value
	}
	return values, faults
}

// referred returns the value of Ref for each parameter, a string or a list of strings.
func referred(parameters map[string]parameter, values map[string]string) map[string]any {
	result := map[string]any{}
	for name, p := range parameters {
		if !p.list {
			result[name] = values[name]
			continue
		}
		list := []any{}
		for _, v := range p.split(values[name]) {
			list = append(list, v)
		}
		result[name] = list
	}
	return result
}

func (p parameter) split(value string) []string {
	if !p.list {
		return []string{value}
	}
	if value == "" {
		return nil
	}
	elements := strings.Split(value, ",")
	for i := range elements {
		elements[i] = strings.TrimSpace(elements[i])
	}
	return elements
}

func (p parameter) check(value string) error {
	for _, v := range p.split(value) {
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
	n, err := parseNumber(value)
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

// scalarText returns a scalar as the string to which CloudFormation converts it.
func scalarText(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	default:
		return "", false
	}
}

// decimal matches JSON numbers without an exponent, because a reference can insert the value into JSON.
var decimal = regexp.MustCompile(`^-?(0|[1-9]\d*)(\.\d+)?$`)

// parseNumber parses a number, which may be a string as in the value of a parameter.
func parseNumber(value any) (float64, error) {
	text, _ := scalarText(value)
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !decimal.MatchString(text) {
		return 0, fmt.Errorf("want a number such as 12 or 0.5, got %q", fmt.Sprint(value))
	}
	return n, nil
}

// checkTogether returns the faults that the declarations of the parameters cannot express: values that contradict each
// other, and fractions in place of whole numbers.
func checkTogether(values map[string]string) []valueFault {
	const monitoring, preference, email = "Monitoring", "DeploymentPreference", "AlarmEmail"
	var faults []valueFault
	refuse := func(parameter, format string, args ...any) {
		faults = append(faults, valueFault{parameter, fmt.Errorf(format, args...)})
	}
	for _, name := range []string{"MemorySize", "ReservedConcurrency", "ThrottlingBurstLimit", "TracingReservoir"} {
		if strings.Contains(values[name], ".") {
			refuse(name, "want a whole number, got %s", values[name])
		}
	}
	switch authorization, pool := values[authorizationParameter], values[userPoolParameter]; {
	case authorization == AuthorizationCognito && pool == "":
		refuse(userPoolParameter, "%s=%s needs the ARN of the user pool whose tokens the API accepts",
			authorizationParameter, authorization)
	case authorization != AuthorizationCognito && pool != "":
		refuse(userPoolParameter, "%s=%s uses no user pool: omit the parameter, or use %s",
			authorizationParameter, authorization, AuthorizationCognito)
	}
	if values[monitoring] == "false" {
		if p := values[preference]; p != "" && p != "AllAtOnce" {
			refuse(preference, "%s rolls back if an alarm goes off, and with %s=false there is no alarm", p, monitoring)
		}
		if values[email] != "" {
			refuse(email, "with %s=false there is no alarm to notify about", monitoring)
		}
	}
	return faults
}
