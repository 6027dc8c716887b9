package function

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/userrequestapi/userdata/shared/logging"
)

// Settings are what a function is told by its environment.
type Settings struct {
	Service        string // SERVICE_NAME
	Stage          string // STAGE
	Table          string // TABLE_NAME, default UserData
	Endpoint       string // of DynamoDB, by the variables that endpoint reads; "": the Region's own
	RequireIfMatch bool   // REQUIRE_IF_MATCH: whether PUT and DELETE without If-Match are refused; default false
	AllowOrigin    string // CORS_ALLOW_ORIGIN; "": no cross-origin use
	Region         string // AWS_REGION
	// MetricsNamespace is the namespace of the custom metrics that request lines hold: POWERTOOLS_METRICS_NAMESPACE; "": none.
	MetricsNamespace string
	Log              logging.Config
}

// tableName is DynamoDB's rule ("Supported data types and naming rules in Amazon DynamoDB").
var tableName = regexp.MustCompile(`^[A-Za-z0-9_.-]{3,255}$`)

// origin is RFC 6454 §7's serialized-origin, of a scheme that browsers load pages from; or any.
var origin = regexp.MustCompile(`^(\*|https?://[A-Za-z0-9.:\[\]-]+)$`)

// metricsNamespace is CloudWatch's rule ("MetricDatum", "PutMetricData"), without the namespaces of AWS itself.
var metricsNamespace = regexp.MustCompile(`^[A-Za-z0-9._/#-][A-Za-z0-9._/#:-]{0,254}$`)

// ReadSettings reads the settings with getenv, such as [os.Getenv]. The error tells everything that is missing or wrong.
func ReadSettings(getenv func(string) string) (Settings, error) {
	var faults []error
	required := func(name string) string {
		value := getenv(name)
		if value == "" {
			faults = append(faults, fmt.Errorf("%s is not set", name))
		}
		return value
	}
	s := Settings{
		Service:     required("SERVICE_NAME"),
		Stage:       required("STAGE"),
		Region:      required("AWS_REGION"),
		Table:       cmp.Or(getenv("TABLE_NAME"), "UserData"),
		AllowOrigin: getenv("CORS_ALLOW_ORIGIN"),

		MetricsNamespace: getenv("POWERTOOLS_METRICS_NAMESPACE"),
	}
	s.Log = logging.Config{
		Level:       getenv("LOG_LEVEL"),
		LambdaLevel: getenv("AWS_LAMBDA_LOG_LEVEL"),
		Service:     s.Service,
		Function:    getenv("AWS_LAMBDA_FUNCTION_NAME"),
		Version:     getenv("AWS_LAMBDA_FUNCTION_VERSION"),
	}
	if !tableName.MatchString(s.Table) {
		faults = append(faults, errors.New("TABLE_NAME is not the name of a DynamoDB table (3 to 255 of A-Z a-z 0-9 _ . -)"))
	}
	var err error
	if s.Endpoint, err = endpoint(getenv); err != nil {
		faults = append(faults, err)
	}
	if s.AllowOrigin != "" && !origin.MatchString(s.AllowOrigin) {
		faults = append(faults, errors.New("CORS_ALLOW_ORIGIN is neither * nor one origin such as https://app.example.org"))
	}
	if s.MetricsNamespace != "" && (!metricsNamespace.MatchString(s.MetricsNamespace) || strings.HasPrefix(s.MetricsNamespace, "AWS/")) {
		faults = append(faults, errors.New("POWERTOOLS_METRICS_NAMESPACE is not a namespace of CloudWatch (1 to 255 of A-Z a-z 0-9 . - _ / # :)"))
	}
	if s.RequireIfMatch, err = strconv.ParseBool(cmp.Or(getenv("REQUIRE_IF_MATCH"), "false")); err != nil {
		faults = append(faults, errors.New("REQUIRE_IF_MATCH is neither true nor false"))
	}
	return s, errors.Join(faults...)
}

// endpoint returns the URL of DynamoDB, "" for the Region's own. DYNAMODB_ENDPOINT takes precedence over the variables
// of the AWS SDKs ("Service-specific endpoints" in the AWS SDKs and Tools Reference Guide), which emulators set. They
// are read here because the package config of the SDK, which also reads files, is too large for a function.
func endpoint(getenv func(string) string) (string, error) {
	variables := []string{"DYNAMODB_ENDPOINT"}
	const ignore = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"
	switch strings.ToLower(getenv(ignore)) {
	case "", "false":
		variables = append(variables, "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL")
	case "true":
	default:
		return "", fmt.Errorf("%s is neither true nor false", ignore)
	}
	for _, name := range variables {
		value := getenv(name)
		if value == "" {
			continue
		}
		if u, err := url.Parse(value); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return "", fmt.Errorf("%s is not an http or https URL such as http://127.0.0.1:8000", name)
		}
		return value, nil
	}
	return "", nil
}
