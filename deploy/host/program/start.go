package program

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/magefile/mage/mg"
	"github.com/magefile/mage/sh"
)

// programs is the import path of the programs that the targets of a magefile start.
const programs = "github.com/userrequestapi/userdata/deploy/cmd/"

// Start replaces this process, a target of mage, with a program in deploy/cmd, which runs the target named by the first
// of args. A target therefore compiles only what it needs, and receives signals directly. The program is compiled with
// the flags of the functions, so that shared packages are compiled once.
func Start(name string, args ...string) error {
	if given := os.Args[1:]; len(given) > len(args) { // this process would not run the other targets
		return mg.Fatalf(2, "want one target at a time, got %s: run go tool mage %s",
			strings.Join(given, " "), strings.Join(given[:len(args)], " "))
	}
	dir, err := filepath.Abs(filepath.Join("bin", "tools"))
	if err != nil {
		return fmt.Errorf("compile %s: %w", name, err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("compile %s: %w", name, err)
	}
	compiling := time.AfterFunc(time.Second, func() {
		fmt.Fprintf(os.Stderr, "Compiling deploy/cmd/%s (slow the first time)…\n", name)
	})
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", dir+string(filepath.Separator), programs+name)
	// A temporary folder on the same file system lets the go command replace the executable in one step.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOTMPDIR="+dir)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	err = cmd.Run()
	compiling.Stop()
	if err != nil {
		return fmt.Errorf("compile deploy/cmd/%s: %w", name, err)
	}
	return Replace(filepath.Join(dir, name), args...)
}

// Replace replaces this process with an executable. On Windows, which does not support that, it runs the executable.
func Replace(executable string, args ...string) error {
	if runtime.GOOS == "windows" {
		return sh.RunV(executable, args...)
	}
	return syscall.Exec(executable, append([]string{executable}, args...), os.Environ())
}
