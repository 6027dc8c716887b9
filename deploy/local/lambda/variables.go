package lambda

import (
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/userrequestapi/userdata/deploy/template"
)

const (
	version    = "$LATEST"
	credential = "local" // for all parts of the role's credentials; DynamoDB Local accepts any value
)

// checkVariables returns an error if a name is reserved by Lambda.
func checkVariables(configured map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(configured)) {
		if template.IsReservedVariable(name) {
			return fmt.Errorf("environment variable %s is reserved by Lambda: use another name", name)
		}
	}
	return nil
}

// variables returns the environment of the process: the variables of provided.al2023, overridden by the configured
// ones. It passes on no variables of the host process.
func (e *environment) variables() []string {
	opts, fn := e.host.opts, e.function
	root := filepath.Dir(fn.Bootstrap)
	daemonHost, daemonPort, _ := net.SplitHostPort(opts.XRayDaemonAddress) // checked by Start
	all := map[string]string{
		"AWS_ACCESS_KEY_ID":               credential,
		"AWS_DEFAULT_REGION":              opts.Region,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(fn.MemoryMB),
		"AWS_LAMBDA_FUNCTION_NAME":        fn.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     version,
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":       fn.LogGroup,
		"AWS_LAMBDA_LOG_STREAM_NAME":      e.logStream,
		"AWS_LAMBDA_RUNTIME_API":          e.host.address + "/" + e.id,
		"AWS_REGION":                      opts.Region,
		"AWS_SECRET_ACCESS_KEY":           credential,
		"AWS_SESSION_TOKEN":               credential,
		"AWS_XRAY_CONTEXT_MISSING":        "LOG_ERROR",
		"AWS_XRAY_DAEMON_ADDRESS":         opts.XRayDaemonAddress,
		"LAMBDA_RUNTIME_DIR":              "/var/runtime",
		"LAMBDA_TASK_ROOT":                root,
		"LANG":                            "en_US.UTF-8",
		"LD_LIBRARY_PATH": "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:" +
			root + ":" + root + "/lib:/opt/lib",
		"PATH":                     "/usr/local/bin:/usr/bin:/bin:/opt/bin",
		"TZ":                       ":UTC",
		"_AWS_XRAY_DAEMON_ADDRESS": daemonHost,
		"_AWS_XRAY_DAEMON_PORT":    daemonPort,
		"_HANDLER":                 fn.Handler,
	}
	if fn.LogFormat != "" {
		all["AWS_LAMBDA_LOG_FORMAT"] = fn.LogFormat
	}
	if fn.LogLevel != "" {
		all["AWS_LAMBDA_LOG_LEVEL"] = fn.LogLevel
	}
	maps.Copy(all, fn.Environment)
	list := make([]string, 0, len(all))
	for name, value := range all {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}
