package build_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/build"
)

func TestPackageFunction(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("an executable "), 1000)
	write := func(content []byte) string {
		t.Helper()
		executable := filepath.Join(t.TempDir(), build.Executable)
		if err := os.WriteFile(executable, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return executable
	}
	executable := write(content)
	first, err := build.PackageFunction(build.Artifact{Name: "get", Path: executable})
	if err != nil {
		t.Fatal(err)
	}
	data := read(t, first.Path)
	sum := sha256.Sum256(data)
	want := build.Package{
		Name: "get", Path: executable + ".zip", Key: "functions/get/" + hex.EncodeToString(sum[:]) + ".zip",
		SHA256: hex.EncodeToString(sum[:]), Size: int64(len(data)),
	}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("package (-want +got):\n%s", diff)
	}
	if first.Size >= int64(len(content)) {
		t.Errorf("size = %d, want it compressed to less than %d", first.Size, len(content))
	}
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if len(archive.File) != 1 {
		t.Fatalf("the archive has %d files, want 1", len(archive.File))
	}
	file := archive.File[0]
	if file.Name != "bootstrap" || file.Mode() != 0o755 {
		t.Errorf("file = %s, %v, want bootstrap with mode 0755", file.Name, file.Mode())
	}
	reader, err := file.Open()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(reader); err != nil || !bytes.Equal(got, content) {
		t.Errorf("got %d bytes, %v, want the executable", len(got), err)
	}

	// The archive does not depend on the file's folder, time and permissions.
	executable = write(content)
	if err := errors.Join(os.Chmod(executable, 0o777), os.Chtimes(executable, time.Time{}, time.Unix(1e9, 0))); err != nil {
		t.Fatal(err)
	}
	second, err := build.PackageFunction(build.Artifact{Name: "get", Path: executable})
	if err != nil {
		t.Fatal(err)
	}
	want.Path = executable + ".zip"
	if diff := cmp.Diff(want, second); diff != "" {
		t.Errorf("packed from another folder (-want +got):\n%s", diff)
	}
	if !bytes.Equal(data, read(t, second.Path)) {
		t.Error("the archive of the executable in another folder differs, want an identical one")
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(executable), "*")); len(left) != 2 {
		t.Errorf("the folder holds %q, want only the executable and its archive", left)
	}

	third, err := build.PackageFunction(build.Artifact{Name: "get", Path: write(append(content, '!'))})
	if err != nil {
		t.Fatal(err)
	}
	if third.Key == first.Key {
		t.Errorf("key of another executable = %s, want a different one", third.Key)
	}
}

func TestPackageFunction_NoExecutable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := build.PackageFunction(build.Artifact{Name: "get", Path: filepath.Join(dir, build.Executable)})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "pack get") {
		t.Errorf("error = %v, want %v and the function's name", err, fs.ErrNotExist)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 0 {
		t.Errorf("the folder holds %q, want nothing", left)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
