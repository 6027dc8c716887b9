package xray

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/userrequestapi/userdata/deploy/aws/trace"
)

// Read returns the documents in Options.Dir by trace, or only those of one trace if id is set. A collector may be
// writing to the folder. The error wraps [fs.ErrNotExist] if no collector has used it.
func Read(dir, id string) (map[string][]trace.Document, error) {
	files, err := openFiles(dir)
	if err != nil {
		return nil, fmt.Errorf("read the kept traces: %w", err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("read the kept traces in %s: %w", dir, fs.ErrNotExist)
	}
	documents := map[string][]trace.Document{}
	for _, file := range files {
		eachLine(file, func(line []byte) bool {
			if bytes.Contains(line, []byte(id)) {
				// A line that is being written, or was cut off, is not JSON.
				if d, err := trace.Parse(line); err == nil && (id == "" || d.TraceID == id) {
					documents[d.TraceID] = append(documents[d.TraceID], d)
				}
			}
			return true
		})
		_ = file.Close() // only read from
	}
	return documents, nil
}

// InUse reports whether a collector uses Options.Dir.
func InUse(dir string) bool {
	lock := flock.New(filepath.Join(dir, lockFile), flock.SetFlag(os.O_RDONLY))
	locked, err := lock.TryRLock() // shared: other calls of InUse do not count
	_ = lock.Close()
	return err == nil && !locked
}
