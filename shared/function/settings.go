package function

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/userrequestapi/userdata/shared/internal/ascii"
	"github.com/userrequestapi/userdata/shared/logging"
)

// Settings are the settings of a function, with the environment variables that hold them.
type Settings struct {
	Service        string // SERVICE_NAME
	Stage          string // STAGE
	Table          string // TABLE_NAME: the table of the users; "" for a function that uses none
	Endpoint       string // of DynamoDB, see endpoint; "" means the endpoint of the Region
	RequireIfMatch bool   // REQUIRE_IF_MATCH: PUT and DELETE require If-Match; default false
	AllowOrigin    string // CORS_ALLOW_ORIGIN; "" disables CORS
	Region         string // AWS_REGION
	// MetricsNamespace is the namespace of the custom metrics: POWERTOOLS_METRICS_NAMESPACE; "" disables them.
	MetricsNamespace string
	Log              logging.Config
}

// isTableName reports whether s is the name of a table ("Supported data types and naming rules in Amazon DynamoDB").
func isTableName(s string) bool {
	return len(s) >= 3 && len(s) <= 255 && ascii.IsAlphanumeric(s, "_.-")
}

// isOrigin reports whether s is * or a serialized-origin (RFC 6454 §7) with the scheme http or https.
func isOrigin(s string) bool {
	scheme, host, _ := strings.Cut(s, "://")
	return s == "*" || (scheme == "http" || scheme == "https") && ascii.IsAlphanumeric(host, ".:[]-")
}

// isMetricsNamespace reports whether s can be the Namespace parameter of PutMetricData (Amazon CloudWatch API
// Reference) for custom metrics.
func isMetricsNamespace(s string) bool {
	return len(s) <= 255 && ascii.IsAlphanumeric(s, "._/#:-") && !strings.HasPrefix(s, ":") &&
		!strings.HasPrefix(s, "AWS/")
}

// ReadSettings reads the settings with getenv, such as [os.Getenv]. The error joins all missing and invalid settings.
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
	var err error
	if s.Table, err = readTable(getenv, "TABLE_NAME"); err != nil {
		faults = append(faults, err)
	}
	if s.Endpoint, err = endpoint(getenv); err != nil {
		faults = append(faults, err)
	}
	if s.AllowOrigin != "" && !isOrigin(s.AllowOrigin) {
		faults = append(faults, errors.New("CORS_ALLOW_ORIGIN: want * or one origin such as https://app.example.org"))
	}
	if s.MetricsNamespace != "" && !isMetricsNamespace(s.MetricsNamespace) {
		faults = append(faults, errors.New("POWERTOOLS_METRICS_NAMESPACE: want a CloudWatch namespace, "+
			"1 to 255 of A-Z a-z 0-9 . - _ / # :, not beginning with a colon or AWS/"))
	}
	if s.RequireIfMatch, err = strconv.ParseBool(cmp.Or(getenv("REQUIRE_IF_MATCH"), "false")); err != nil {
		faults = append(faults, errors.New("REQUIRE_IF_MATCH: want true or false"))
	}
	return s, errors.Join(faults...)
}

// readTable returns the name of a table in an environment variable, or "" if it is not set.
func readTable(getenv func(string) string, variable string) (string, error) {
	name := getenv(variable)
	if name != "" && !isTableName(name) {
		return "", fmt.Errorf("%s: want the name of a table, 3 to 255 of A-Z a-z 0-9 _ . -", variable)
	}
	return name, nil
}

// endpoint returns the endpoint URL of DynamoDB, "" for the endpoint of the Region. DYNAMODB_ENDPOINT takes
// precedence over the variables of the AWS SDKs ("Service-specific endpoints" in the AWS SDKs and Tools Reference
// Guide). The SDK's package config reads these as well, but it would add too much to the size and the cold start of a
// function.
func endpoint(getenv func(string) string) (string, error) {
	variables := []string{"DYNAMODB_ENDPOINT"}
	const ignore = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"
	switch strings.ToLower(getenv(ignore)) {
	case "", "false":
		variables = append(variables, "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL")
	case "true":
	default:
		return "", fmt.Errorf("%s: want true or false", ignore)
	}
	for _, name := range variables {
		value := getenv(name)
		if value == "" {
			continue
		}
		if u, err := url.Parse(value); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return "", fmt.Errorf("%s: want an http or https URL such as http://127.0.0.1:8000", name)
		}
		return value, nil
	}
	return "", nil
}
