package trace_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/aws/trace"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"create.json", "timeout.json"} {
		for _, data := range raw(t, file) {
			if _, err := trace.ParseValid(data); err != nil {
				t.Errorf("%s: error = %v, want none", file, err)
			}
		}
	}
}

// with returns a document with members added or replaced. A nil value removes a member.
func with(t *testing.T, document string, members map[string]any) []byte {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal([]byte(document), &all); err != nil {
		t.Fatal(err)
	}
	for name, value := range members {
		if value == nil {
			delete(all, name)
		} else {
			all[name] = value
		}
	}
	data, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

const (
	segment = `{"name": "example", "id": "70de5b6f19ff9a0a", "trace_id": "1-581cf771-a006649127e371903a2de979",
		"start_time": 1.478293361271E9, "end_time": 1.478293361449E9}`
	subsegment = `{"name": "example", "id": "70de5b6f19ff9a0b", "trace_id": "1-581cf771-a006649127e371903a2de979",
		"parent_id": "70de5b6f19ff9a0a", "type": "subsegment", "start_time": 1478293361.271, "end_time": 1478293361.449}`
)

type members = map[string]any

func TestValidate_Accepts(t *testing.T) {
	t.Parallel()
	embedded := members{"name": "x", "id": "0000000000000001", "start_time": 1, "end_time": 1}
	for name, data := range map[string][]byte{
		"a segment":       []byte(segment),
		"a subsegment":    []byte(subsegment),
		"in progress":     with(t, segment, members{"in_progress": true, "end_time": nil}),
		"not in progress": with(t, segment, members{"in_progress": false}),
		"any letters":     with(t, segment, members{"name": `ÄЖ中 9_.:/%&#=+\-@`}),
		"longest name":    with(t, segment, members{"name": strings.Repeat("é", 200)}),
		"upper case":      with(t, segment, members{"id": "70DE5B6F19FF9A0A"}),
		"all segment fields": with(t, segment, members{
			"parent_id": "0000000000000009", "service": members{"version": "1", "runtime": "go"}, "user": "u", "origin": "AWS::EC2::Instance",
			"error": true, "fault": true, "throttle": true, "metadata": members{"debug": members{"any": []int{1}}},
			"aws":         members{"account_id": "1", "xray": members{"sdk": "X-Ray for Go"}, "ec2": members{"instance_id": "i"}},
			"annotations": members{"a_1": "x", "B": 1.5, "c": false},
			"http": members{
				"request":  members{"method": "GET", "url": "https://example.com/", "client_ip": "::1", "x_forwarded_for": true, "user_agent": "x"},
				"response": members{"status": 200, "content_length": -1},
			},
		}),
		"all subsegment fields": with(t, subsegment, members{
			"namespace": "remote", "precursor_ids": []string{"0000000000000003"}, "sql": members{"preparation": "call", "url": "postgres://h/d"},
			"http":        members{"request": members{"traced": true}},
			"aws":         members{"operation": "GetItem", "retries": 2, "resource_names": []string{"t"}, "more": nil},
			"subsegments": []any{embedded},
			"cause": members{"working_directory": "/", "paths": []string{"p"}, "exceptions": []any{members{
				"id": "0000000000000002", "message": "m", "type": "t", "remote": true, "truncated": 1, "skipped": 0, "cause": "0000000000000003",
				"stack": []any{members{"path": "p", "line": 1, "label": "l"}, members{}},
			}}},
		}),
		"exception of another": with(t, segment, members{"cause": "0123456789abcdef"}),
		"fifty annotations":    with(t, segment, members{"annotations": annotations(50)}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := trace.ParseValid(data); err != nil {
				t.Errorf("error = %v, want none", err)
			}
		})
	}
}

func annotations(n int) members {
	many := members{}
	for i := range n {
		many[fmt.Sprintf("a%d", i)] = i
	}
	return many
}

func TestValidate_Rejects(t *testing.T) {
	t.Parallel()
	embedded := func(m members) members {
		all := members{"name": "x", "id": "0000000000000001", "start_time": 1, "end_time": 2}
		maps.Copy(all, m)
		return members{"subsegments": []any{all}}
	}
	exception := func(m members) members { return members{"cause": members{"exceptions": []any{m}}} }
	long := strings.Repeat("x", 251)
	for name, test := range map[string]struct {
		document string
		members  members
		want     string // substring of the error
	}{
		"no name":                      {segment, members{"name": nil}, "missing property 'name'"},
		"an empty name":                {segment, members{"name": ""}, "/name: minLength"},
		"a long name":                  {segment, members{"name": strings.Repeat("x", 201)}, "/name: maxLength"},
		"a name with other symbols":    {segment, members{"name": "a*b"}, "/name: "},
		"no id":                        {segment, members{"id": nil}, "missing property 'id'"},
		"a short id":                   {segment, members{"id": "70de5b6f19ff9a0"}, "/id: "},
		"an id that is not hex":        {segment, members{"id": "70de5b6f19ff9a0x"}, "/id: "},
		"an id with a line break":      {segment, members{"id": "70de5b6f19ff9a0a\n"}, "/id: "},
		"no trace id":                  {segment, members{"trace_id": nil}, "missing property 'trace_id'"},
		"a trace id of W3C":            {segment, members{"trace_id": "581cf771a006649127e371903a2de979"}, "/trace_id: "},
		"another version of trace id":  {segment, members{"trace_id": "2-581cf771-a006649127e371903a2de979"}, "/trace_id: "},
		"no start":                     {segment, members{"start_time": nil}, "missing property 'start_time'"},
		"a start that is a string":     {segment, members{"start_time": "1478293361.271"}, "/start_time: got string, want number"},
		"milliseconds":                 {segment, members{"start_time": 1478293361271}, "/start_time: maximum"},
		"no end":                       {segment, members{"end_time": nil}, "missing property 'end_time'"},
		"an end and in progress":       {segment, members{"in_progress": true}, "/end_time: "},
		"an end before the start":      {segment, members{"end_time": 1478293361}, "want an end_time that is not before start_time"},
		"in_progress as a string":      {segment, members{"in_progress": "true"}, "/in_progress: "},
		"another type":                 {segment, members{"type": "segment"}, "'type' not allowed"},
		"a segment with a namespace":   {segment, members{"namespace": "aws"}, "'namespace' not allowed"},
		"an unknown field":             {segment, members{"nom": "x"}, "'nom' not allowed"},
		"an invalid origin":            {segment, members{"origin": "Lambda"}, "/origin: "},
		"a long user":                  {segment, members{"user": long}, "/user: maxLength"},
		"a flag that is a number":      {segment, members{"fault": 1}, "/fault: "},
		"its own parent":               {segment, members{"parent_id": "70de5b6f19ff9a0a"}, "want the parent_id of another segment, got its own id"},
		"a subsegment without parent":  {subsegment, members{"parent_id": nil}, "missing property 'parent_id'"},
		"a subsegment without trace":   {subsegment, members{"trace_id": nil}, "missing property 'trace_id'"},
		"a subsegment's origin":        {subsegment, members{"origin": "AWS::Lambda"}, "'origin' not allowed"},
		"another namespace":            {subsegment, members{"namespace": "local"}, "/namespace: "},
		"traced, in a segment":         {segment, members{"http": members{"request": members{"traced": true}}}, "'traced' not allowed"},
		"forwarded, in a subsegment":   {subsegment, members{"http": members{"request": members{"x_forwarded_for": true}}}, "'x_forwarded_for' not allowed"},
		"a status that is a string":    {segment, members{"http": members{"response": members{"status": "200"}}}, "/http/response/status: "},
		"a status of zero":             {segment, members{"http": members{"response": members{"status": 0}}}, "/http/response/status: "},
		"a long URL":                   {segment, members{"http": members{"request": members{"url": long}}}, "/http/request/url: maxLength"},
		"a long table name":            {subsegment, members{"aws": members{"table_name": long}}, "/aws/table_name: maxLength"},
		"a resource name":              {subsegment, members{"aws": members{"resource_names": "t"}}, "/aws/resource_names: "},
		"an annotation with an object": {segment, members{"annotations": members{"a": members{}}}, "/annotations/a: "},
		"a null annotation":            {segment, members{"annotations": members{"a": json.RawMessage("null")}}, "/annotations/a: "},
		"a key with a dash":            {segment, members{"annotations": members{"a-b": 1}}, "'a-b'"},
		"a long annotation":            {segment, members{"annotations": members{"a": strings.Repeat("x", 1001)}}, "/annotations/a: maxLength"},
		"many annotations":             {segment, members{"annotations": annotations(51)}, "/annotations: maxProperties"},
		"many annotations in total": {segment, members{
			"annotations": annotations(26), "subsegments": embedded(members{"annotations": annotations(25)})["subsegments"],
		}, "want at most 50 annotations, got 51"},
		"reserved metadata":              {segment, members{"metadata": members{"AWS.x": 1}}, "/metadata/AWS.x: "},
		"a cause that is not an id":      {segment, members{"cause": "timeout"}, "/cause: "},
		"a cause that is a list":         {segment, members{"cause": []any{}}, "/cause: "},
		"an exception without id":        {segment, exception(members{"message": "m"}), "/cause/exceptions/0: missing property 'id'"},
		"a long message":                 {segment, exception(members{"id": "0000000000000001", "message": long}), "/cause/exceptions/0/message: maxLength"},
		"an exception with the same id":  {segment, exception(members{"id": "70de5b6f19ff9a0a"}), "/cause/exceptions/0/: want a unique id, got 70de5b6f19ff9a0a again"},
		"embedded without id":            {segment, embedded(members{"id": ""}), "/subsegments/0/id: "},
		"embedded with the same id":      {segment, embedded(members{"id": "70de5b6f19ff9a0a"}), "/subsegments/0/: want a unique id, got 70de5b6f19ff9a0a again"},
		"embedded with another trace id": {segment, embedded(members{"trace_id": "1-581cf772-a006649127e371903a2de979"}), "/subsegments/0/: want the trace_id of the enclosing segment"},
		"embedded with a type":           {segment, embedded(members{"type": "segment"}), "/subsegments/0/type: "},
		"embedded without an end":        {segment, embedded(members{"end_time": json.RawMessage("null")}), "/subsegments/0/end_time: "},
		"embedded with an unknown field": {segment, embedded(members{"table": "t"}), "'table' not allowed"},
		"large":                          {segment, members{"metadata": members{"x": strings.Repeat("x", trace.MaxSize)}}, "want at most 65536 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := trace.ParseValid(with(t, test.document, test.members))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error = %v, want %q in it", err, test.want)
			}
		})
	}
	for name, data := range map[string]string{
		"nothing":       "",
		"a list":        "[" + segment + "]",
		"null":          "null",
		"two documents": segment + segment,
		"not JSON":      "{name: x}",
		"not UTF-8":     strings.Replace(segment, "example", "ex\xffmple", 1),
		"a huge number": strings.Replace(segment, "1.478293361271E9", "1e999999999", 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := trace.ParseValid([]byte(data)); err == nil {
				t.Error("got no error, want one")
			}
		})
	}
}

// FuzzTrace checks that no documents cause an endless loop, a panic or a lost span, and that Parse accepts valid
// documents.
func FuzzTrace(f *testing.F) {
	for _, file := range []string{"create.json", "timeout.json"} {
		f.Add([]byte(slices.Concat(raw(f, file)...)))
	}
	f.Add([]byte(`{"id":"a","parent_id":"b"}` + "\n" + `{"id":"b","parent_id":"a","subsegments":[{"id":"a"}]}`))
	f.Add([]byte(`{"id":"a","parent_id":"a","subsegments":[{"id":"a"},{}]}`))
	f.Add([]byte(segment + "\n" + subsegment))
	f.Fuzz(func(t *testing.T, data []byte) {
		var documents []trace.Document
		ids := map[string]map[string]bool{}
		var count func(trace.Document, string)
		count = func(d trace.Document, traceID string) {
			if ids[traceID] == nil {
				ids[traceID] = map[string]bool{}
			}
			ids[traceID][d.ID] = true
			for _, e := range d.Subsegments {
				count(e, traceID)
			}
		}
		decoder := json.NewDecoder(bytes.NewReader(data))
		for {
			var message json.RawMessage
			if decoder.Decode(&message) != nil {
				break
			}
			d, err := trace.Parse(message)
			if _, invalid := trace.ParseValid(message); err != nil && invalid == nil {
				t.Fatalf("ParseValid accepts %s, but Parse returns %v, want no error", message, err)
			}
			if err == nil {
				documents = append(documents, d)
				count(d, d.TraceID)
			}
		}
		traces := assemble(documents)
		for _, traced := range traces {
			spans := map[string]bool{}
			for _, s := range traced.Walk {
				if spans[s.ID] {
					t.Fatalf("got the span %q twice, want it once", s.ID)
				}
				spans[s.ID] = true
			}
			if len(spans) != len(ids[traced.ID]) {
				t.Fatalf("%d spans, want %d: one for each id", len(spans), len(ids[traced.ID]))
			}
			if got := traced.Summary(); got.Spans != len(spans) || got.Duration < 0 {
				t.Fatalf("summary = %+v, want %d spans and no negative duration", got, len(spans))
			}
			if _, err := json.Marshal(traced); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := json.Marshal(trace.NewMap(traces)); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkValidate(b *testing.B) {
	list := raw(b, "create.json")
	for i := 0; b.Loop(); i++ {
		if _, err := trace.ParseValid(list[i%len(list)]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	list := documents(b, "create.json")
	for b.Loop() {
		assemble(list)[0].Summary()
	}
}
