package guides_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
)

// fields returns the names in the first columns of the tables in a section of docs/operate.md, sorted.
func fields(t *testing.T, section string) []string {
	t.Helper()
	var found []string
	for _, r := range guide(t, "docs/operate.md").rows {
		if r.section == section {
			found = append(found, r.cells[0]...)
		}
	}
	if len(found) == 0 {
		t.Fatalf("docs/operate.md: want a table in the section %q, got none", section)
	}
	slices.Sort(found)
	return found
}

// TestAccessLog checks the fields of the access log in docs/operate.md, and what the page says about requests that
// reach no function.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t, stacktest.Parameters(map[string]string{"Authorization": "AWS_IAM"}))
	document := apiDocument(t)
	users := document.Collections()[0]
	unknown := slices.DeleteFunc([]string{"PATCH", "DELETE", "PUT"}, func(method string) bool {
		return document.Paths.Value(users.Path).GetOperation(method) != nil
	})
	if len(unknown) == 0 {
		t.Fatalf("%s has PATCH, DELETE and PUT: choose another path, which lacks a method", users.Path)
	}
	requests := []struct {
		method, path, resource, responseType string
		status                               int
	}{
		{"GET", users.Path + "/1", users.Item, "MISSING_AUTHENTICATION_TOKEN", 403},
		{"GET", "/nothing", "/{proxy+}", "-", 404},
		{unknown[0], users.Path, users.Path, "-", 405},
	}
	for _, r := range requests {
		s.Do(t, r.method, r.path, "").Want(t, r.status)
	}
	s.Stop(t)
	if lines := s.Lines(); len(lines) > 0 {
		t.Errorf("got lines of a function, %s, want none", lines)
	}
	lines := s.AccessLog()
	if len(lines) != len(requests) {
		t.Fatalf("got access log %s, want a line for each of %d requests", lines, len(requests))
	}
	for i, r := range requests {
		line := stacktest.Decode(t, []byte(lines[i]))
		if line["httpMethod"] != r.method || line["resourcePath"] != r.resource ||
			line["errorResponseType"] != r.responseType {
			t.Errorf("%s %s: got access log line %s, want %s and %s", r.method, r.path, lines[i], r.resource, r.responseType)
		}
		if diff := gocmp.Diff(fields(t, "The access log"), slices.Sorted(maps.Keys(line))); diff != "" {
			t.Errorf("fields (-page +log), want those of the log in the table of docs/operate.md:\n%s", diff)
		}
	}
}

// TestRequestLine checks the fields of a function's log line about a request in docs/operate.md.
func TestRequestLine(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	s.Do(t, "GET", apiDocument(t).Collections()[0].Path+"/1", "").Want(t, 404)
	s.Stop(t)
	lines := s.Lines()
	if len(lines) != 1 {
		t.Fatalf("got log lines %s, want one", lines)
	}
	want := slices.Concat(
		fields(t, "On every line"),
		fields(t, "On every line of a request"),
		fields(t, "The line request"),
	)
	want = slices.DeleteFunc(want, func(name string) bool { // values, and fields of other requests
		return slices.Contains([]string{
			"DEBUG", "INFO", "WARN", "ERROR", "_aws", "Success", "Error", "Fault", "ColdStart", "function_name", "error",
		}, name)
	})
	slices.Sort(want)
	line := stacktest.Decode(t, []byte(lines[0]))
	if diff := gocmp.Diff(want, slices.Sorted(maps.Keys(line))); diff != "" {
		t.Errorf("fields (-page +log), want those of the log in the tables of docs/operate.md:\n%s", diff)
	}
}

const traceHeader = "X-Amzn-Trace-Id"

// TestSampling checks that a caller decides whether a request is traced as docs/run.md says: by Root and Sampled
// together.
func TestSampling(t *testing.T) {
	t.Parallel()
	s := stacktest.Start(t)
	path := apiDocument(t).Collections()[0].Path + "/1"
	const root = "Root=1-5759e988-bd862e3fe1be46a994272793"
	for header, traced := range map[string]bool{
		"": true, root: true, root + ";Sampled=1": true, root + ";Sampled=0": false,
		"Sampled=0": true, "Parent=0123456789abcdef;Sampled=0": true,
	} {
		t.Run(header, func(t *testing.T) {
			t.Parallel()
			got := s.Do(t, "GET", path, "", stacktest.Headers{traceHeader: header}).Header.Get(traceHeader)
			if strings.HasSuffix(got, ";Sampled=1") != traced {
				t.Errorf("got %q, want it traced: %t", got, traced)
			}
		})
	}
}
