package check

import (
	"context"
	_ "embed" // for the packages and the ruleset
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/userrequestapi/userdata/deploy/host/tools"
)

// The packages to install and the ruleset.
var (
	//go:embed spectral/package.json
	spectralPackages []byte
	//go:embed spectral/package-lock.json
	spectralLock []byte
	//go:embed spectral/ruleset.yaml
	spectralRuleset []byte
)

// spectral lints the contract with Spectral's rules for OpenAPI and OWASP's rules for API security. It runs in a
// folder with the paths that the ruleset uses: the contract as in the workspace, and node_modules beside the ruleset.
func spectral(ctx context.Context, t target) (found string, err error) {
	environment, err := tools.Node(ctx, spectralPackages, spectralLock,
		func(step string) { _, _ = fmt.Fprintln(t.Out, step) })
	if err != nil {
		return "", err
	}
	document, err := os.ReadFile(filepath.Join(t.Root, contract))
	if err != nil {
		return "", fmt.Errorf("spectral: %w", err)
	}
	dir, err := os.MkdirTemp("", "spectral-")
	if err != nil {
		return "", fmt.Errorf("spectral: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if dir, err = filepath.EvalSymlinks(dir); err != nil { // as in the findings
		return "", fmt.Errorf("spectral: %w", err)
	}
	if err := errors.Join(
		os.Symlink(environment.Path(), filepath.Join(dir, "node_modules")),
		os.WriteFile(filepath.Join(dir, "ruleset.yaml"), spectralRuleset, 0o600),
		os.Mkdir(filepath.Join(dir, filepath.Dir(contract)), 0o750),
		os.WriteFile(filepath.Join(dir, contract), document, 0o600),
	); err != nil {
		return "", fmt.Errorf("spectral: %w", err)
	}
	found, err = command{dir: dir, args: []string{
		environment.Program("spectral"), "lint", "--ruleset", "ruleset.yaml",
		"--fail-severity", "hint", "--format", "text", "--quiet", contract,
	}}.findings(ctx)
	return strings.ReplaceAll(found, dir+string(filepath.Separator), ""), err
}
