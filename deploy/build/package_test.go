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
	dir := filepath.Join(t.TempDir(), "get")
	executable := filepath.Join(dir, build.Executable)
	content := bytes.Repeat([]byte("an executable "), 1000)
	write := func() {
		t.Helper()
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(executable, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write()
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
		t.Errorf("file = %s, %v, want bootstrap that everybody may execute", file.Name, file.Mode())
	}
	reader, err := file.Open()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(reader); err != nil || !bytes.Equal(got, content) {
		t.Errorf("got %d bytes, %v, want the executable", len(got), err)
	}

	// Neither the time nor the permissions of the file are in the archive.
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	write()
	if err := errors.Join(os.Chmod(executable, 0o777), os.Chtimes(executable, time.Time{}, time.Unix(1e9, 0))); err != nil {
		t.Fatal(err)
	}
	second, err := build.PackageFunction(build.Artifact{Name: "get", Path: executable})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("packed again (-first +second):\n%s", diff)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 2 {
		t.Errorf("the folder holds %q, want the executable and its archive alone", left)
	}
}

func TestPackageFunction_NoExecutable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := build.PackageFunction(build.Artifact{Name: "get", Path: filepath.Join(dir, build.Executable)})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "pack get") {
		t.Errorf("error = %v, want one that says what is missing", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 0 {
		t.Errorf("the folder holds %q, want nothing", left)
	}
}

// The real functions, from two folders: what they are packed into must not tell where they were built.
func TestPackageFunction_Reproducible(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("compiles all functions several times")
	}
	source := filepath.Join("..", "..")
	functions, err := build.Find(source)
	if err != nil {
		t.Fatal(err)
	}
	roots := []string{copyWorkspace(t, source, "a"), copyWorkspace(t, source, filepath.Join("another", "place"))}
	first, second := pack(t, roots[0], functions), pack(t, roots[1], functions)
	if len(first) == 0 {
		t.Fatal("there are no functions")
	}
	digests := map[string]bool{}
	for name, p := range first {
		if p.SHA256 != second[name].SHA256 || !bytes.Equal(read(t, p.Path), read(t, second[name].Path)) {
			t.Errorf("%s: packages of two folders differ: %s, %s", name, p.Key, second[name].Key)
		}
		digests[p.SHA256] = true
		executable := read(t, filepath.Join(filepath.Dir(p.Path), build.Executable))
		for _, root := range roots {
			if bytes.Contains(executable, []byte(root)) {
				t.Errorf("%s: the executable has the folder's path in it", name)
			}
		}
	}
	if len(digests) != len(first) {
		t.Errorf("%d different packages of %d functions", len(digests), len(first))
	}

	main := filepath.Join(roots[1], "functions", "get", "main.go")
	if err := os.WriteFile(main, append(read(t, main), "\nfunc init() { println(\"changed\") }\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	changed := map[string]bool{}
	for name, p := range pack(t, roots[1], functions) {
		changed[name] = p.Key != first[name].Key
	}
	want := map[string]bool{"get": true, "post": false, "put": false, "delete": false}
	if diff := cmp.Diff(want, changed); diff != "" {
		t.Errorf("what a change of get changes (-want +got):\n%s", diff)
	}
}

// copyWorkspace copies what the functions are made of into a folder of its own.
func copyWorkspace(t *testing.T, source, name string) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), name)
	for _, folder := range []string{"functions", "shared"} {
		if err := os.CopyFS(filepath.Join(root, folder), os.DirFS(filepath.Join(source, folder))); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// pack builds and packs functions for Lambda, and returns the packages by the functions' names.
func pack(t *testing.T, root string, functions []build.Function) map[string]build.Package {
	t.Helper()
	target, err := build.Lambda("arm64")
	if err != nil {
		t.Fatal(err)
	}
	artifacts, err := build.Functions(t.Context(), functions, build.Options{Root: root, Out: t.TempDir(), Target: target})
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string]build.Package{}
	for _, artifact := range artifacts {
		if packages[artifact.Name], err = build.PackageFunction(artifact); err != nil {
			t.Fatal(err)
		}
	}
	return packages
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
