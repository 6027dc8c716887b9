package check

import (
	"bytes"
	"context"
	_ "embed" // for the requirements
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/userrequestapi/userdata/deploy/host/tools"
	"github.com/userrequestapi/userdata/deploy/template"
	"github.com/userrequestapi/userdata/deploy/template/rules"
)

//go:embed requirements.txt
var requirements []byte

// The input of rendering, relative to the workspace.
const (
	contract = "deploy/openapi.yaml"
	source   = "deploy/template.yaml"
)

// variant is the workspace's template rendered for given parameters.
type variant struct {
	parameters map[string]string
	rendered   *template.Rendered // with a package for each function
}

// String returns the parameters, such as "Authorization=NONE Monitoring=true".
func (v variant) String() string {
	words := make([]string, 0, len(v.parameters))
	for _, name := range slices.Sorted(maps.Keys(v.parameters)) {
		words = append(words, name+"="+v.parameters[name])
	}
	return strings.Join(words, " ")
}

// variants renders the workspace's template for each combination of parameters.
func variants(root string, combinations []map[string]string) iter.Seq2[variant, error] {
	return func(yield func(variant, error) bool) {
		loaded, err := template.Load(os.DirFS(filepath.Join(root, filepath.Dir(source))))
		if err != nil {
			yield(variant{}, err)
			return
		}
		functions, err := loaded.Functions()
		if err != nil {
			yield(variant{}, err)
			return
		}
		code := map[string]string{} // keys of the functions' packages
		for _, f := range functions {
			code[f.LogicalID] = "functions/" + f.LogicalID + "/" + strings.Repeat("0", 64) + ".zip"
		}
		for _, parameters := range combinations {
			v := variant{parameters: parameters}
			if v.rendered, err = loaded.Render(template.Options{Parameters: parameters, Code: code}); err != nil {
				err = fmt.Errorf("%s: %w", v, err)
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// houseRules applies package rules to all variants, and reports each violation once.
func houseRules(_ context.Context, t target) (string, error) {
	var found strings.Builder
	reported := map[string]bool{}
	for v, err := range variants(t.Root, rules.Variants()) {
		if err != nil {
			return found.String(), err
		}
		violations, err := rules.Check(v.rendered.JSON(), v.rendered.Parameters())
		if err != nil {
			return found.String(), err
		}
		for _, violation := range violations {
			if line := violation.String(); !reported[line] {
				reported[line] = true
				_, _ = fmt.Fprintf(&found, "%s\n    with %s\n", line, v)
			}
		}
	}
	if len(reported) > 0 {
		return found.String(), fmt.Errorf("%s and %s break %d rules", source, contract, len(reported))
	}
	return "", nil
}

// cfnLint lints one rendered template for each authorization. Other parameters do not change the rendered template,
// which contains its conditions. It cannot lint the source, which has loops in lists.
func cfnLint(ctx context.Context, t target) (string, error) {
	return pythonProgram(ctx, t, []string{"cfn-lint", "-c", "I", "--"},
		func(v variant) ([]byte, error) { return v.rendered.JSON(), nil })
}

// openAPI validates the contract and the rendered Body. It removes the plus sign of greedy path variables such as
// {proxy+}, which only API Gateway supports.
func openAPI(ctx context.Context, t target) (string, error) {
	greedy := regexp.MustCompile(`\{(\w+)\+\}`)
	return pythonProgram(ctx, t, []string{"openapi-spec-validator", "--validation-errors", "all"},
		func(v variant) ([]byte, error) {
			stack, err := v.rendered.Resolve(template.PseudoParameters{})
			if err != nil {
				return nil, err
			}
			return greedy.ReplaceAll(stack.API().Body, []byte("{$1}")), nil
		}, contract)
}

// pythonProgram runs a program of the requirements on the content of one variant for each authorization, and on files
// of the workspace.
func pythonProgram(
	ctx context.Context, t target, args []string, content func(variant) ([]byte, error), files ...string,
) (found string, err error) {
	environment, err := tools.Python(ctx, requirements, func(step string) { _, _ = fmt.Fprintln(t.Out, step) })
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "rendered-")
	if err != nil {
		return "", fmt.Errorf("write the rendered template: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	rendered, err := writeVariants(dir, t.Root, content)
	if err != nil {
		return "", err
	}
	files = append(files, rendered...)
	args[0] = environment.Program(args[0])
	findings := make([]string, len(files))
	var programs errgroup.Group
	programs.SetLimit(runtime.GOMAXPROCS(0)) // each takes seconds of CPU time
	for i, file := range files {
		programs.Go(func() (err error) {
			findings[i], err = command{dir: t.Root, args: append(slices.Clone(args), file)}.findings(ctx)
			return err
		})
	}
	err = programs.Wait()
	return strings.Join(findings, ""), err
}

// writeVariants writes the content of one variant for each authorization to a file with its name. The JSON has line
// breaks, so that findings have line numbers, but no indentation: cfn-lint warns of a file near the limit of 1 MB.
func writeVariants(dir, root string, content func(variant) ([]byte, error)) (files []string, err error) {
	authorization := func(parameters map[string]string) string { return parameters["Authorization"] }
	combinations := slices.CompactFunc(rules.Variants(),
		func(a, b map[string]string) bool { return authorization(a) == authorization(b) })
	for v, err := range variants(root, combinations) {
		if err != nil {
			return nil, err
		}
		file := filepath.Join(dir, authorization(v.parameters)+".json")
		document, err := content(v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", v, err)
		}
		var lines bytes.Buffer
		if err := json.Indent(&lines, document, "", ""); err != nil {
			return nil, fmt.Errorf("write the rendered template: %w", err)
		}
		if err := os.WriteFile(file, lines.Bytes(), 0o600); err != nil {
			return nil, fmt.Errorf("write the rendered template: %w", err)
		}
		files = append(files, file)
	}
	return files, nil
}
