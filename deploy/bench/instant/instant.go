// Package instant serves a DynamoDB without storage, which responds at once: a benchmark with it measures the caller.
package instant

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// targetPrefix is the prefix of the header X-Amz-Target ("DynamoDB low-level API" in the Amazon DynamoDB Developer
// Guide).
const targetPrefix = "DynamoDB_20120810."

// Item is an item in DynamoDB JSON, such as {"userId": {"S": "1"}}.
type Item = map[string]json.RawMessage

// Server is a running server. Each table has at most one item. A read with its key returns it, a write changes nothing,
// and the conditions of a write are met.
//
// For the functions of other projects, every item exists in a table that was not passed to [Start], or with other key
// attributes: it has the key of the request and the attributes of the table's item, or of the first item that was set.
type Server struct {
	address string
	secure  bool
	keys    map[string][]string // names of the key attributes, by table
	server  *http.Server
	served  chan error

	mu        sync.Mutex
	recording bool
	items     map[string]Item // by table
	first     Item            // the first item that was set
}

// Start starts a server on a free port of 127.0.0.1. keys has the names of the key attributes of each table. With a
// certificate, the server serves HTTPS.
func Start(keys map[string][]string, certificate *tls.Certificate) (*Server, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for DynamoDB requests: %w", err)
	}
	s := &Server{address: listener.Addr().String(), keys: keys, served: make(chan error, 1), items: map[string]Item{}}
	s.server = &http.Server{Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: time.Minute}
	if certificate != nil {
		s.secure = true
		listener = tls.NewListener(listener, &tls.Config{
			Certificates: []tls.Certificate{*certificate}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12,
		})
	}
	go func() { s.served <- s.server.Serve(listener) }()
	return s, nil
}

// URL returns the endpoint.
func (s *Server) URL() string {
	if s.secure {
		return "https://" + s.address
	}
	return "http://" + s.address
}

// Record selects whether the items of PutItem requests become the items of their tables.
func (s *Server) Record(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recording = on
}

// SetItem sets the item of a table.
func (s *Server) SetItem(table string, item Item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(table, item)
}

// set sets the item of a table. The caller must hold s.mu.
func (s *Server) set(table string, item Item) {
	s.items[table] = item
	if s.first == nil {
		s.first = item
	}
}

// Items returns the items by table. They must not be changed.
func (s *Server) Items() map[string]Item {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.items)
}

// Disconnect closes the idle connections.
func (s *Server) Disconnect() {
	s.server.SetKeepAlivesEnabled(false)
	s.server.SetKeepAlivesEnabled(true)
}

// Close stops the server and closes its connections.
func (s *Server) Close() error {
	err := s.server.Close()
	if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// input has the members of requests that select the response.
type input struct {
	TableName              string
	Key, Item              Item
	ReturnValues           string
	ReturnConsumedCapacity string
	RequestItems           map[string]json.RawMessage
	TransactItems          []struct {
		Get *struct {
			TableName string
			Key       Item
		}
	}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has closed the connection
	}
	var in input
	if err := json.Unmarshal(body, &in); err != nil {
		fail(w, "SerializationException", err.Error())
		return
	}
	operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), targetPrefix)
	out, ok := s.respond(operation, &in)
	if !ok {
		fail(w, "UnknownOperationException", "operation "+operation+" is not supported by the benchmark's DynamoDB")
		return
	}
	write(w, http.StatusOK, out)
}

// respond returns the response to an operation. ok is false for an unknown one.
func (s *Server) respond(operation string, in *input) (out map[string]any, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out = map[string]any{}
	switch operation {
	case "GetItem":
		if item := s.find(in.TableName, in.Key); item != nil {
			out["Item"] = item
		}
	case "PutItem":
		if s.recording {
			s.set(in.TableName, in.Item)
		}
		s.previous(out, in, in.Item)
	case "DeleteItem", "UpdateItem":
		s.previous(out, in, in.Key)
	case "Query", "Scan":
		items := []Item{}
		if item := s.item(in.TableName); item != nil {
			items = append(items, item)
		}
		out["Items"], out["Count"], out["ScannedCount"] = items, len(items), len(items)
	case "BatchGetItem":
		responses := map[string][]Item{}
		for table := range in.RequestItems {
			responses[table] = []Item{}
			if item := s.item(table); item != nil {
				responses[table] = append(responses[table], item)
			}
		}
		out["Responses"], out["UnprocessedKeys"] = responses, struct{}{}
	case "BatchWriteItem":
		out["UnprocessedItems"] = struct{}{}
	case "TransactGetItems":
		responses := make([]map[string]Item, len(in.TransactItems))
		for i, get := range in.TransactItems {
			responses[i] = map[string]Item{}
			if get.Get == nil {
				continue
			}
			if item := s.find(get.Get.TableName, get.Get.Key); item != nil {
				responses[i]["Item"] = item
			}
		}
		out["Responses"] = responses
	case "TransactWriteItems":
	default:
		return nil, false
	}
	if c := in.ReturnConsumedCapacity; c != "" && c != "NONE" && in.TableName != "" {
		out["ConsumedCapacity"] = map[string]any{"TableName": in.TableName, "CapacityUnits": 1}
	}
	return out, true
}

// previous adds the attributes that a write returns.
func (s *Server) previous(out map[string]any, in *input, key Item) {
	if in.ReturnValues == "" || in.ReturnValues == "NONE" {
		return
	}
	if item := s.find(in.TableName, key); item != nil {
		out["Attributes"] = item
	}
}

// item returns the item of a table, or nil. The caller must hold s.mu.
func (s *Server) item(table string) Item {
	if _, known := s.keys[table]; known {
		return s.items[table]
	}
	return s.first
}

// find returns the item of a table if it has the key, or nil. The caller must hold s.mu.
func (s *Server) find(table string, key Item) Item {
	item := s.item(table)
	if item == nil {
		return nil
	}
	names, known := s.keys[table]
	if !known || !hasAll(key, names) {
		merged := maps.Clone(item)
		maps.Copy(merged, key)
		return merged
	}
	for _, name := range names {
		if !bytes.Equal(item[name], key[name]) {
			return nil
		}
	}
	return item
}

// hasAll reports whether the key has the attributes.
func hasAll(key Item, names []string) bool {
	for _, name := range names {
		if key[name] == nil {
			return false
		}
	}
	return true
}

func fail(w http.ResponseWriter, code, message string) {
	write(w, http.StatusBadRequest, map[string]any{"__type": "com.amazon.coral.service#" + code, "message": message})
}

func write(w http.ResponseWriter, status int, document any) {
	body, err := json.Marshal(document)
	if err != nil { // impossible: items come from JSON
		panic(err)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	// The SDKs check it.
	w.Header().Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
	w.WriteHeader(status)
	_, _ = w.Write(body) // fails only if the client has closed the connection
}
