// Command mage runs the targets of the workspace's magefile, as [mage] does, from any folder of the workspace. It
// checks the arguments before any target runs, and compiles the magefile in one process at a time.
//
// [mage]: https://magefile.org
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gofrs/flock"
	"github.com/magefile/mage/mage"
	"github.com/magefile/mage/parse"

	"github.com/userrequestapi/userdata/deploy/host/program"
)

const magefile = "magefile.go"

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
	}
	os.Exit(code)
}

// run returns the exit code: that of the target, or 2 for wrong arguments.
func run(args []string) (int, error) {
	root, err := program.EnterRoot()
	if err != nil {
		return 1, err
	}
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return mage.ParseAndRun(os.Stdout, os.Stderr, os.Stdin, args), nil
	}
	targets, err := targets()
	if err != nil {
		return 1, err
	}
	if err := program.CheckArguments(args, targets); err != nil {
		return 2, err
	}
	executable, code, err := compile(root)
	if code != 0 || err != nil {
		return code, err
	}
	if err := program.Replace(executable, args...); err != nil {
		return 1, err
	}
	return 0, nil
}

// targets returns the names of the arguments of each target of the magefile by its name.
func targets() (map[string][]string, error) {
	info, err := parse.PrimaryPackage("go", ".", []string{magefile}, false)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", magefile, err)
	}
	targets := map[string][]string{}
	for _, f := range info.Funcs {
		targets[name(f)] = arguments(f)
	}
	for alias, f := range info.Aliases {
		targets[alias] = arguments(f)
	}
	return targets, nil
}

func arguments(f *parse.Function) []string {
	var names []string
	for _, arg := range f.Args {
		names = append(names, arg.Name)
	}
	return names
}

// name returns the name of a target as mage lists it: each part begins with a lower-case letter.
func name(f *parse.Function) string {
	parts := strings.Split(f.TargetName(), ":")
	for i, part := range parts {
		parts[i] = strings.ToLower(part[:1]) + part[1:]
	}
	return strings.Join(parts, ":")
}

// compile compiles the magefile and returns the path of the executable. Meanwhile, mage writes a file in the workspace,
// so the processes take turns.
func compile(root string) (executable string, code int, err error) {
	dir := filepath.Join(root, "bin", "tools")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", 1, explainReadOnly(root, err)
	}
	lock := flock.New(filepath.Join(dir, "mage.lock"))
	if err := lock.Lock(); err != nil {
		return "", 1, explainReadOnly(root, err)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	executable = filepath.Join(dir, "magefile")
	return executable, mage.ParseAndRun(os.Stdout, os.Stderr, os.Stdin, []string{"-compile", executable}), nil
}

func explainReadOnly(root string, err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("the targets write to %s, which is read-only: copy it, for example to your home folder: %w",
			root, err)
	}
	return err
}
