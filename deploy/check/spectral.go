package check

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/userrequestapi/userdata/deploy/host/tools"
)

// spectralFiles are the packages to install and the ruleset.
//
//go:embed spectral
var spectralFiles embed.FS

// spectral lints the contract with Spectral's rules for OpenAPI and OWASP's rules for API security. It runs in a
// folder with the paths that the ruleset uses: the contract as in the workspace, and node_modules beside the ruleset.
func spectral(ctx context.Context, t target) (found string, err error) {
	files := make(map[string][]byte)
	for _, name := range []string{"package.json", "package-lock.json", "ruleset.yaml"} {
		if files[name], err = spectralFiles.ReadFile("spectral/" + name); err != nil {
			return "", fmt.Errorf("spectral: %w", err)
		}
	}
	environment, err := tools.Node(ctx, files["package.json"], files["package-lock.json"],
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
		os.WriteFile(filepath.Join(dir, "ruleset.yaml"), files["ruleset.yaml"], 0o600),
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
