package xray

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// archive keeps documents between runs, one per line, in at most two files. A new file begins when the current one has
// half of the maximum size. The methods add, clear and close of a nil archive do nothing.
type archive struct {
	dir     string
	maximum int64 // size of both files in bytes
	lock    *flock.Flock
	file    *os.File // the current one
	size    int64
	found   []io.ReadCloser // what earlier runs have written, oldest first
	cleared bool
}

const (
	currentFile  = "documents.jsonl"
	previousFile = "documents.1.jsonl"
	lockFile     = ".lock"
)

// openArchive opens the archive in a folder, which it creates if needed. It returns an error if another process uses
// the folder.
func openArchive(dir string, maximum int64) (_ *archive, err error) {
	a := &archive{dir: dir, maximum: maximum}
	defer func() {
		if err != nil {
			err = fmt.Errorf("open the kept traces: %w", errors.Join(err, a.close()))
		}
	}()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(dir, lockFile))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, err
	}
	if !locked {
		return nil, fmt.Errorf("another local stack uses %s: choose another folder with DATA_DIR", dir)
	}
	a.lock = lock
	if err := a.open(); err != nil {
		return nil, err
	}
	if a.found, err = openFiles(dir); err != nil {
		return nil, err
	}
	// The last line is cut off if the process was killed while it wrote.
	if a.size > 0 {
		if err := a.write([]byte("\n")); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// openFiles opens the files of the documents that exist, for reading what they have now, oldest first.
func openFiles(dir string) ([]io.ReadCloser, error) {
	var files []io.ReadCloser
	for _, name := range []string{previousFile, currentFile} {
		file, err := os.Open(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		size, err := file.Seek(0, io.SeekEnd)
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		files = append(files, section{io.NewSectionReader(file, 0, size), file})
	}
	return files, nil
}

// section is the part of a file that existed when it was opened.
type section struct {
	io.Reader
	io.Closer
}

// open opens the current file.
func (a *archive) open() (err error) {
	name := filepath.Join(a.dir, currentFile)
	if a.file, err = os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return err
	}
	info, err := a.file.Stat()
	if err != nil {
		return err
	}
	a.size = info.Size()
	return nil
}

// earlier yields the documents of earlier runs, oldest first, once. It skips lines that are not JSON.
func (a *archive) earlier() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, file := range a.found {
			more := eachLine(file, func(line []byte) bool { return !json.Valid(line) || yield(line) })
			_ = file.Close() // only read from
			if !more {
				return
			}
		}
	}
}

// eachLine calls yield with each line of r until yield returns false, and reports whether it read all lines.
func eachLine(r io.Reader, yield func([]byte) bool) bool {
	for lines := bufio.NewReader(r); ; {
		line, err := lines.ReadBytes('\n')
		if !yield(bytes.TrimSuffix(line, []byte("\n"))) {
			return false
		}
		if err != nil {
			return true
		}
	}
}

// add appends a document.
func (a *archive) add(document []byte) error {
	if a == nil {
		return nil
	}
	var line bytes.Buffer
	if bytes.ContainsRune(document, '\n') {
		if err := json.Compact(&line, document); err != nil { // impossible for a valid document
			return fmt.Errorf("keep a trace: %w", err)
		}
	} else {
		line.Write(document)
	}
	line.WriteByte('\n')
	if a.size > 0 && a.size+int64(line.Len()) > a.maximum/2 {
		if err := a.rotate(); err != nil {
			return fmt.Errorf("keep a trace: %w", err)
		}
	}
	return a.write(line.Bytes())
}

func (a *archive) write(data []byte) error {
	n, err := a.file.Write(data)
	a.size += int64(n)
	if err != nil {
		return fmt.Errorf("keep a trace: %w", err)
	}
	return nil
}

// rotate replaces the previous file by the current one, and begins a new one.
func (a *archive) rotate() error {
	err := a.file.Close()
	if err == nil {
		err = os.Rename(filepath.Join(a.dir, currentFile), filepath.Join(a.dir, previousFile))
	}
	if err != nil {
		return err
	}
	return a.open()
}

// clear deletes all documents.
func (a *archive) clear() error {
	if a == nil {
		return nil
	}
	a.cleared = true
	err := a.file.Truncate(0)
	a.size = 0
	if removed := os.Remove(filepath.Join(a.dir, previousFile)); !errors.Is(removed, fs.ErrNotExist) {
		err = errors.Join(err, removed)
	}
	if err != nil {
		return fmt.Errorf("delete the kept traces: %w", err)
	}
	return nil
}

// close closes the file and releases the folder.
func (a *archive) close() error {
	if a == nil {
		return nil
	}
	var errs []error
	if a.file != nil {
		errs = append(errs, a.file.Close())
	}
	if a.lock != nil {
		errs = append(errs, a.lock.Close())
	}
	return errors.Join(errs...)
}
