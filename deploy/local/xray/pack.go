package xray

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/userrequestapi/userdata/deploy/aws/trace"
)

// newCompressor returns the writer for pack. It is reused, because it needs almost a megabyte.
func newCompressor() *flate.Writer {
	writer, err := flate.NewWriter(nil, flate.BestSpeed)
	if err != nil { // the level is valid
		panic(err)
	}
	return writer
}

// pack compresses the documents and keeps their summary and what filters search. It returns the change of the size.
func (e *entry) pack(compressor *flate.Writer) int {
	if e.packed != nil || len(e.documents) == 0 {
		return 0
	}
	e.summary()
	e.searchable()
	var packed bytes.Buffer
	compressor.Reset(&packed)
	for _, d := range e.documents {
		_, _ = compressor.Write(d.raw) // a buffer returns no error
	}
	_ = compressor.Close()
	before := e.bytes
	e.bytes -= e.documentBytes()
	e.packed, e.documents, e.assembled = bytes.Clone(packed.Bytes()), nil, nil
	e.lines, e.searched = slices.Clone(e.lines), strings.Clone(e.searched) // without spare capacity
	e.bytes += len(e.packed) + len(e.searched)
	return e.bytes - before
}

// unpack undoes pack.
func (e *entry) unpack() int {
	before := e.bytes
	e.bytes -= len(e.packed) + len(e.searched)
	e.documents, e.packed = e.all(), nil
	e.bytes += e.documentBytes()
	return e.bytes - before
}

// documentBytes returns the size of the documents.
func (e *entry) documentBytes() int {
	n := 0
	for _, d := range e.documents {
		n += len(d.raw) + documentOverhead
	}
	return n
}

// all returns the documents, packed or not.
func (e *entry) all() []document {
	if e.packed == nil {
		return e.documents
	}
	var documents []document
	for decoder := json.NewDecoder(flate.NewReader(bytes.NewReader(e.packed))); ; {
		var raw json.RawMessage
		err := decoder.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return documents
		}
		if err == nil {
			var d trace.Document
			if d, err = trace.Parse(raw); err == nil {
				documents = append(documents, document{d, raw})
			}
		}
		if err != nil { // what pack has written
			panic(err)
		}
	}
}
