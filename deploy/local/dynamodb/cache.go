package dynamodb

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/userrequestapi/userdata/deploy/host/cache"
	"github.com/userrequestapi/userdata/deploy/host/tools"
)

// The npm package that contains DynamoDB Local 1.25.1, and the checksum of its tarball.
const (
	packageName    = "amplify-dynamodb-simulator"
	packageVersion = "2.9.30"
	packageSHA512  = "c5379e44bbf311fab2779961ddb1f8734907bd21c79a6843e590ec1c52804398" +
		"36665e89aa515dbad6908422c7cf1129e91cb5a3b4c1ea7888a17b9002749ec1"
	tarball  = packageName + "-" + packageVersion + ".tgz"
	emulator = "package/emulator/" // folder of DynamoDB Local in the tarball
	jarFile  = "DynamoDBLocal.jar"
	libDir   = "DynamoDBLocal_lib"

	plainJar = "plain.jar" // written by writePlainJar
)

// program is DynamoDB Local in the cache.
type program struct{ dir string }

// newProgram returns the program in cacheDir, or in the user's cache folder if cacheDir is empty.
func newProgram(cacheDir string) (program, error) {
	var err error
	if cacheDir == "" {
		cacheDir, err = cache.Dir()
	} else {
		cacheDir, err = filepath.Abs(cacheDir)
	}
	if err != nil {
		return program{}, fmt.Errorf("find the cache folder for DynamoDB Local: %w", err)
	}
	return program{filepath.Join(cacheDir, "dynamodb-local-"+packageVersion)}, nil
}

// has reports whether the program's folder contains the file.
func (p program) has(name string) bool {
	info, err := os.Stat(filepath.Join(p.dir, name))
	return err == nil && info.Mode().IsRegular()
}

func (p program) downloaded() bool { return p.has(jarFile) }
func (p program) installed() bool  { return p.downloaded() && p.has(plainJar) }

// install downloads DynamoDB Local unless it is in the cache.
func (p program) install(ctx context.Context, npm string, progress func(string)) error {
	if p.installed() {
		return nil
	}
	entry := cache.Entry{Path: p.dir, What: "DynamoDB Local", Has: p.downloaded}
	err := entry.FillAtOnce(ctx, progress, func(dir string) error {
		progress("Downloading DynamoDB Local (57 MB)…")
		if err := download(ctx, npm, dir); err != nil {
			return err
		}
		progress("Unpacking DynamoDB Local…")
		packed := filepath.Join(dir, tarball)
		if err := unpackFile(ctx, packed, dir); err != nil {
			return fmt.Errorf("unpack DynamoDB Local: %w", err)
		}
		if err := os.Remove(packed); err != nil {
			return fmt.Errorf("remove the tarball of DynamoDB Local: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	entry.Has = p.installed
	return entry.Fill(ctx, progress, func() error {
		if err := writePlainJar(filepath.Join(p.dir, jarFile), filepath.Join(p.dir, plainJar)); err != nil {
			return fmt.Errorf("prepare DynamoDB Local: %w", err)
		}
		return nil
	})
}

// download downloads the tarball into dir with npm, which uses the user's registry settings.
func download(ctx context.Context, npm, dir string) error {
	cmd := exec.Command(npm, "pack", packageName+"@"+packageVersion, "--pack-destination", dir, "--ignore-scripts")
	cmd.Dir = dir
	printed, err := output(ctx, cmd)
	if ctx.Err() != nil {
		return fmt.Errorf("download DynamoDB Local: %w", context.Cause(ctx))
	}
	if err != nil {
		return fmt.Errorf("download DynamoDB Local: npm pack %s@%s failed (%w): %s; "+
			"check the network and npm's registry (npm config get registry), then run again",
			packageName, packageVersion, err, tools.NPMReason(printed))
	}
	return nil
}

// unpackFile verifies the checksum of the tarball and unpacks DynamoDB Local into dir.
func unpackFile(ctx context.Context, name, dir string) (err error) {
	packed, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("npm pack did not write %s: run again, or use another version of npm", tarball)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, packed.Close()) }()
	hash := sha512.New()
	size, err := io.Copy(hash, packed)
	if err != nil {
		return err
	}
	if sum := hex.EncodeToString(hash.Sum(nil)); sum != packageSHA512 {
		return fmt.Errorf("the download (%d bytes) is not %s@%s as published: its SHA-512 is %s, want %s; "+
			"the download was truncated or modified and has been deleted: run again, or check the registry "+
			"(npm config get registry)", size, packageName, packageVersion, sum, packageSHA512)
	}
	if _, err := packed.Seek(0, io.SeekStart); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	return unpack(ctx, packed, root)
}

// unpack writes the files below package/emulator/ of an npm tarball to root. Entries outside root are errors.
func unpack(ctx context.Context, packed io.Reader, root *os.Root) error {
	unzipped, err := gzip.NewReader(packed)
	if err != nil {
		return err
	}
	for entries := tar.NewReader(unzipped); ; {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return unzipped.Close()
		}
		if err != nil {
			return err
		}
		name, ok := strings.CutPrefix(header.Name, emulator)
		if !ok || header.Typeflag == tar.TypeDir {
			continue
		}
		if header.Typeflag != tar.TypeReg {
			return fmt.Errorf("%s is not a regular file", header.Name)
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := writeFile(root, filepath.FromSlash(name), entries, header.Size); err != nil {
			return err
		}
	}
}

func writeFile(root *os.Root, name string, content io.Reader, size int64) (err error) {
	if err := root.MkdirAll(path.Dir(name), 0o750); err != nil {
		return err
	}
	file, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := io.CopyN(file, content, size); err != nil {
		return err
	}
	return file.Sync() // before the folder is renamed
}
