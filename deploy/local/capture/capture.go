// Package capture keeps the most recent requests and responses of the local stack in memory. They contain personal data
// and never leave this machine. Secrets are masked before a request is kept.
package capture

import (
	"sync"
	"time"
	"unicode/utf8"
)

// Limits in bytes. An item of DynamoDB has at most 400 KB.
const (
	maxBody  = 512 << 10
	maxBytes = 8 << 20
	overhead = 512 // of an exchange besides its strings
)

// Exchange is a request with its response.
type Exchange struct {
	RequestID string    `json:"requestId"`
	TraceID   string    `json:"traceId"`
	Time      time.Time `json:"time"`
	Method    string    `json:"method"`
	Address   string    `json:"address"` // path and query as sent, with secrets masked
	Route     string    `json:"route"`   // path of the API document, such as /users/{userId}
	Status    int       `json:"status"`
	Request   Message   `json:"request"`
	Response  Message   `json:"response"`
}

// Message is the content of a request or of a response.
type Message struct {
	Headers []Header `json:"headers"` // sorted by name
	Body    string   `json:"body"`    // "" if Omitted is set
	Bytes   int      `json:"bytes"`   // length of the body
	Omitted string   `json:"omitted"` // why the body is not kept: [Binary], [Large] or ""
}

// Reasons for omitting a body.
const (
	Binary = "binary" // not UTF-8
	Large  = "large"  // over 512 KiB
)

// Header is a value of a header.
type Header struct {
	Name   string `json:"name"`
	Value  string `json:"value"` // [Mask] for a secret
	Masked bool   `json:"masked,omitempty"`
}

// newMessage returns a message with a copy of the body.
func newMessage(headers []Header, body []byte, mask func(string) string) Message {
	m := Message{Headers: headers, Bytes: len(body)}
	switch {
	case len(body) > maxBody:
		m.Omitted = Large
	case !utf8.Valid(body):
		m.Omitted = Binary
	default:
		m.Body = mask(string(body))
	}
	return m
}

func (e *Exchange) bytes() int {
	n := overhead + len(e.Address) + len(e.Request.Body) + len(e.Response.Body)
	for _, m := range []Message{e.Request, e.Response} {
		for _, h := range m.Headers {
			n += len(h.Name) + len(h.Value)
		}
	}
	return n
}

// Store keeps the most recent exchanges, up to 8 MiB. The zero value is empty, and its methods are safe for concurrent
// use.
type Store struct {
	mu        sync.Mutex
	bytes     int
	order     []*Exchange // oldest first
	byTrace   map[string][]*Exchange
	byRequest map[string]*Exchange
}

// Add adds an exchange and drops the oldest ones beyond the limit.
func (s *Store) Add(e Exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byTrace == nil {
		s.byTrace, s.byRequest = map[string][]*Exchange{}, map[string]*Exchange{}
	}
	s.order = append(s.order, &e)
	s.byTrace[e.TraceID] = append(s.byTrace[e.TraceID], &e)
	s.byRequest[e.RequestID] = &e
	for s.bytes += e.bytes(); s.bytes > maxBytes; {
		oldest := s.order[0]
		s.order[0], s.order = nil, s.order[1:]
		s.bytes -= oldest.bytes()
		delete(s.byRequest, oldest.RequestID)
		if same := s.byTrace[oldest.TraceID]; len(same) > 1 {
			same[0], s.byTrace[oldest.TraceID] = nil, same[1:]
		} else {
			delete(s.byTrace, oldest.TraceID)
		}
	}
}

// Trace returns the exchanges of a trace, in the order of their responses.
func (s *Store) Trace(id string) []Exchange {
	s.mu.Lock()
	defer s.mu.Unlock()
	exchanges := make([]Exchange, 0, len(s.byTrace[id]))
	for _, e := range s.byTrace[id] {
		exchanges = append(exchanges, *e)
	}
	return exchanges
}

// Request returns the exchange with a request id. ok reports whether it is kept.
func (s *Store) Request(id string) (e Exchange, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.byRequest[id]
	if !ok {
		return Exchange{}, false
	}
	return *found, true
}

// Clear deletes all exchanges.
func (s *Store) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes, s.order, s.byTrace, s.byRequest = 0, nil, nil, nil
}
