package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/tools/go/packages"
)

// systems returns the operating systems for which all programs and functions compile. docs/run.md lists what each
// supports.
func systems() []string { return []string{"darwin", "linux", "windows"} }

// checkSystems type-checks the programs and functions for the other operating systems, which is faster than compiling.
// It includes the tests, except for Windows, where they do not run.
func checkSystems(ctx context.Context, t target) (string, error) {
	var found strings.Builder
	for _, system := range systems() {
		if system == runtime.GOOS {
			continue
		}
		loaded, err := packages.Load(&packages.Config{
			Context:    ctx,
			Mode:       packages.LoadAllSyntax &^ packages.NeedTypesInfo,
			Dir:        t.Root,
			Env:        append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0"),
			BuildFlags: []string{"-tags=mage"},
			Tests:      system != "windows",
		}, everything)
		if err != nil {
			return "", fmt.Errorf("load the packages for %s: %w", system, err)
		}
		packages.Visit(loaded, nil, func(p *packages.Package) {
			for _, err := range p.Errors {
				_, _ = fmt.Fprintf(&found, "%s: %v\n", system, err)
			}
		})
	}
	if found.Len() > 0 {
		return found.String(), errors.New(
			"these packages do not compile on all systems: move system calls to files for one system, such as peek_unix.go")
	}
	return "", nil
}
