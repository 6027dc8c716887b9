package build

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"
)

// Package is the deployment package of a function: a ZIP archive with its executable.
type Package struct {
	Name   string // of the function
	Path   string // of the archive
	Key    string // of the object in the artifact bucket; depends on the content
	SHA256 string // of the archive, 64 hexadecimal digits
	Size   int64  // of the archive, in bytes
}

// modified returns the modification time of the file in every archive: the earliest time of the ZIP format.
func modified() time.Time { return time.Date(1980, time.January, 1, 0, 0, 0, 0, time.UTC) }

// PackageFunction writes the deployment package of an executable to the same folder. With the same version of Go, the
// archive of an executable is byte-for-byte reproducible.
func PackageFunction(artifact Artifact) (_ Package, err error) {
	p := Package{Name: artifact.Name, Path: artifact.Path + ".zip"}
	unfinished, err := os.Create(p.Path + ".new")
	if err != nil {
		return Package{}, fmt.Errorf("pack %s: %w", p.Name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("pack %s: %w", p.Name, err), os.Remove(unfinished.Name()))
		}
	}()
	digest := sha256.New()
	err = errors.Join(archive(io.MultiWriter(unfinished, digest), artifact.Path), unfinished.Close())
	if err != nil {
		return Package{}, err
	}
	info, err := os.Stat(unfinished.Name())
	if err != nil {
		return Package{}, err
	}
	if err := os.Rename(unfinished.Name(), p.Path); err != nil {
		return Package{}, err
	}
	p.SHA256 = hex.EncodeToString(digest.Sum(nil))
	p.Key = path.Join("functions", p.Name, p.SHA256+".zip")
	p.Size = info.Size()
	return p, nil
}

// archive writes a reproducible archive with an executable.
func archive(w io.Writer, executable string) error {
	source, err := os.Open(filepath.Clean(executable))
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	archive := zip.NewWriter(w)
	header := &zip.FileHeader{Name: Executable, Method: zip.Deflate, Modified: modified()}
	header.SetMode(0o755) // the user of the execution environment does not own the file
	file, err := archive.CreateHeader(header)
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, source); err != nil {
		return err
	}
	return archive.Close()
}
