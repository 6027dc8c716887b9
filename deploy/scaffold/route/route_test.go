package route_test

import (
	"context"
	"errors"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/scaffold/route"
)

// project returns a project with the documents of the fixture, whose functions have no code.
func project(t *testing.T) (root string) {
	t.Helper()
	files := map[string]string{
		"go.mod":                "module example.com/acme/people\n",
		"go.work":               "go 1.26.0\n\nuse (\n\t.\n\t./functions/get\n\t./shared\n)\n",
		"functions/get/go.mod":  "module example.com/acme/people/functions/get\n",
		"functions/get/go.sum":  "",
		"functions/get/main.go": "package main\n",
	}
	for _, name := range []string{"deploy/openapi.yaml", "deploy/template.yaml"} {
		content, err := os.ReadFile(filepath.Join("..", "..", "testdata", "service", name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(content)
	}
	return testenv.Folder(t, files)
}

// read returns the files of a folder by path.
func read(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			files[path+"/"] = ""
			return nil
		}
		content, err := os.ReadFile(filepath.Join(root, path))
		files[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestAdd_Refusals checks the message for each wrong argument, and that nothing is written.
func TestAdd_Refusals(t *testing.T) {
	t.Parallel()
	root := project(t)
	before := read(t, root)
	for _, tt := range []struct{ name, method, path, want string }{
		{"Orders", "GET", "/orders", `name: want lower-case letters, digits and hyphens, such as orders, got "Orders"`},
		{"", "GET", "/orders", `name: want lower-case letters, digits and hyphens, such as orders, got ""`},
		{"orders-", "GET", "/orders", `name: want lower-case letters, digits and hyphens, such as orders, got "orders-"`},
		{"../orders", "GET", "/orders", `name: want lower-case letters, digits and hyphens, such as orders, got "../orders"`},
		{"range", "GET", "/orders", "name range: has a meaning in Go: choose another name"},
		{"main", "GET", "/orders", "name main: has a meaning in Go: choose another name"},
		{"get", "GET", "/orders", "name get: the project has this function already: choose another name"},
		{"put", "GET", "/orders", "name put: the project has this function already: choose another name"},
		{"all", "GET", "/orders", "name all: has a meaning in the mapping Functions: choose another name"},
		{"table", "GET", "/orders", "name table: deploy/template.yaml has a resource TableErrorsAlarm already: choose another name"},
		{"release", "GET", "/orders", "name release: deploy/template.yaml has a resource ReleaseRole already: choose another name"},
		{"api-access", "GET", "/orders",
			"name api-access: deploy/template.yaml has a resource ApiAccessLogGroup already: choose another name"},
		{"user", "GET", "/me", "name user: GET /users/{userId} has the operationId getUser already: choose another name"},
		{strings.Repeat("x", 40), "GET", "/orders", "name " + strings.Repeat("x", 40) +
			": want at most 31 characters, because Lambda's limit is 64 with the API's name and a stage"},
		{"orders", "FETCH", "/orders", `method: want one of GET, POST, PUT, PATCH, DELETE, got "FETCH"`},
		{"orders", "HEAD", "/orders", "method: want GET instead of HEAD: it adds HEAD, too"},
		{"orders", "GET", "orders", `path: want a path such as /users/{userId}/orders, got "orders"`},
		{"orders", "GET", "/", "path /: API Gateway itself serves the index: choose a path below it"},
		{"orders", "GET", "/orders/", "path /orders/: want no slash at the end: /orders"},
		{"orders", "GET", "/orders//items", `path /orders//items: want segments of letters, digits and _ . : -, got ""`},
		{"orders", "GET", "/a b", `path /a b: want segments of letters, digits and _ . : -, got "a b"`},
		{"orders", "GET", "/a?b", `path /a?b: want segments of letters, digits and _ . : -, got "a?b"`},
		{"orders", "GET", "/orders/{id", "path /orders/{id: want a parameter such as {orderId}, of letters and digits, got {id"},
		{"orders", "GET", "/orders/{order_id}",
			"path /orders/{order_id}: want a parameter such as {orderId}, of letters and digits, got {order_id}"},
		{"orders", "GET", "/orders/{proxy+}",
			"path /orders/{proxy+}: want a parameter such as {orderId}, of letters and digits, got {proxy+}"},
		{"orders", "GET", "/a,b", `path /a,b: want segments of letters, digits and _ . : -, got "a,b"`},
		{"orders", "GET", "/a/../b", `path /a/../b: want segments of letters, digits and _ . : -, got ".."`},
		{"orders", "GET", "/{orderId}",
			"path /{orderId}: want a literal first segment: API Gateway serves unknown paths with a parameter there"},
		{"orders", "GET", "/orders/{id}/{id}", "path /orders/{id}/{id}: it has the parameter id twice"},
		{"orders", "GET", "/users/{id}/orders", "path /users/{id}/orders: /users/{userId} has the parameter {userId} where " +
			"this path has {id}: use the same name, which API Gateway requires"},
		{"orders", "GET", "/ping", "path /ping: API Gateway reserves this path for health checks"},
		{"orders", "get", "/users", "GET /users: GetFunction serves it already: choose another method or path"},
		{"orders", "DELETE", "/users/{userId}",
			"DELETE /users/{userId}: DeleteFunction serves it already: choose another method or path"},
	} {
		t.Run(tt.name+" "+tt.method+" "+tt.path, func(t *testing.T) {
			t.Parallel()
			err := route.Function{Name: tt.name, Method: tt.method, Path: tt.path}.Add(t.Context(), root, t.Output())
			if got, want := message(err), "new function: "+tt.want; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
	t.Cleanup(func() {
		if diff := cmp.Diff(before, read(t, root)); diff != "" {
			t.Errorf("files of the project (-before +after):\n%s", diff)
		}
	})
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestAdd_Interrupted checks that nothing is written after Ctrl-C.
func TestAdd_Interrupted(t *testing.T) {
	t.Parallel()
	root := project(t)
	before := read(t, root)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := route.Function{Name: "orders", Method: "GET", Path: "/orders"}.Add(ctx, root, t.Output())
	if diff := cmp.Diff(before, read(t, root)); err == nil || diff != "" {
		t.Errorf("got error %v, want one; files of the project (-before +after):\n%s", err, diff)
	}
}

// TestSources checks the code and the documents of functions of each method.
func TestSources(t *testing.T) {
	t.Parallel()
	root := project(t)
	before := read(t, root)
	for _, tt := range []struct {
		function   route.Function
		operations []string // operationId and the status codes of the responses
		code       []string // parts of the handler
	}{
		{
			route.Function{Name: "orders", Method: "GET", Path: "/users/{userId}/orders"},
			[]string{
				"getOrders 200 400 401 403 404 413 429 431 500 502 503 504",
				"headOrders 200 400 401 403 404 413 429 431 500 502 503 504",
			},
			[]string{
				`"example.com/acme/people/shared/function"`, "deps.Users.Get(ctx, id)", `map[string]any{"userId": id}`,
				"http.StatusOK",
			},
		},
		{
			route.Function{Name: "add-order", Method: "post", Path: "/users/{userId}/orders"},
			[]string{"postAddOrder 201 400 401 403 404 413 415 429 431 500 502 503 504"},
			[]string{"deps.Users.Get(ctx, id)", "req.Decode(&sent)", "http.StatusCreated"},
		},
		{
			route.Function{Name: "order", Method: "PUT", Path: "/teams/{teamId}/orders/{value}"},
			[]string{"putOrder 200 400 401 403 413 415 429 431 500 502 504"},
			[]string{`[]string{"teamId", "value"}`, "Value int `json:\"value2\"`"},
		},
		{
			route.Function{Name: "rename", Method: "PATCH", Path: "/users/{userId}"},
			[]string{"patchRename 200 400 401 403 404 413 415 429 431 500 502 503 504"},
			[]string{"deps.Users.Get(ctx, id)"},
		},
		{
			route.Function{Name: "clear", Method: "DELETE", Path: "/status"},
			[]string{"deleteClear 204 400 401 403 413 429 431 500 502 504"},
			[]string{"_ *request.Request", "response.NoContent()"},
		},
	} {
		t.Run(tt.function.Name, func(t *testing.T) {
			t.Parallel()
			files, err := route.Sources(root, tt.function)
			if err != nil {
				t.Fatal(err)
			}
			folder := "functions/" + tt.function.Name + "/"
			for _, name := range []string{"main.go", tt.function.Name + ".go", tt.function.Name + "_test.go"} {
				_, err := parser.ParseFile(token.NewFileSet(), name, files[folder+name], parser.SkipObjectResolution)
				if err != nil {
					t.Error(err)
				}
			}
			for _, part := range tt.code {
				if handler := files[folder+tt.function.Name+".go"]; !strings.Contains(handler, part) {
					t.Errorf("got the handler\n%s\nwant it to contain %s", handler, part)
				}
			}
			if diff := cmp.Diff(tt.operations, added(t, before["deploy/openapi.yaml"], files["deploy/openapi.yaml"])); diff != "" {
				t.Errorf("new operations (-want +got):\n%s", diff)
			}
			wantKept(t, before["deploy/openapi.yaml"], files["deploy/openapi.yaml"])
			wantKept(t, before["go.work"], files["go.work"])
			template := strings.Replace(before["deploy/template.yaml"], "Delete]", "Delete, "+id(tt.function.Name)+"]", 1)
			wantKept(t, template, files["deploy/template.yaml"])
			reads := strings.Contains(tt.function.Path, "{userId}")
			if gained := count(files, "Tables: [Table]") - count(before, "Tables: [Table]"); (gained == 1) != reads {
				t.Errorf("got %d entries with the table more, want one: %t", gained, reads)
			}
		})
	}
}

// TestSources_Items checks that functions for items of their own, which store nothing yet, are no collection to the smoke
// test, and that none of them reads users.
func TestSources_Items(t *testing.T) {
	t.Parallel()
	root := project(t)
	for _, f := range []route.Function{
		{Name: "add", Method: "POST", Path: "/orders"},
		{Name: "read", Method: "GET", Path: "/orders/{orderId}"},
		{Name: "remove", Method: "DELETE", Path: "/orders/{orderId}"},
	} {
		files, err := route.Sources(root, f)
		if err != nil {
			t.Fatal(err)
		}
		if handler := files["functions/"+f.Name+"/"+f.Name+".go"]; strings.Contains(handler, "deps.Users") {
			t.Errorf("got the handler\n%s\nwant none that reads users", handler)
		}
		for name, content := range files {
			file := filepath.Join(root, filepath.FromSlash(name))
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	}
	document, err := contract.Read(os.DirFS(filepath.Join(root, "deploy")))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range document.Collections() {
		got = append(got, c.Path)
	}
	if diff := cmp.Diff([]string{"/users"}, got); diff != "" {
		t.Errorf("collections (-want +got):\n%s", diff)
	}
}

// count counts a text in the template.
func count(files map[string]string, text string) int {
	return strings.Count(files["deploy/template.yaml"], text)
}

// id returns the name of a function's entry in the template.
func id(name string) string {
	var id strings.Builder
	for word := range strings.SplitSeq(name, "-") {
		id.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return id.String()
}

// added returns the operations that a change has added to a document, with the status codes of their responses.
func added(t *testing.T, before, after string) []string {
	t.Helper()
	var operations [2][]string
	for i, text := range []string{before, after} {
		document, err := contract.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range document.Routes() {
			statuses := slices.Sorted(maps.Keys(r.Operation.Responses.Map()))
			operations[i] = append(operations[i], r.Operation.OperationID+" "+strings.Join(statuses, " "))
		}
	}
	return slices.DeleteFunc(operations[1], func(o string) bool { return slices.Contains(operations[0], o) })
}

// wantKept checks that a change of a file has only added lines.
func wantKept(t *testing.T, before, after string) {
	t.Helper()
	lines := strings.Split(after, "\n")
	for line := range strings.SplitSeq(before, "\n") {
		i := slices.Index(lines, line)
		if i < 0 {
			t.Errorf("the line is missing or in another place:\n%s", line)
			return
		}
		lines = lines[i+1:]
	}
}

// TestWrite checks that files are written, or none if one cannot be.
func TestWrite(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		paths []string
		want  map[string]string
	}{
		"all":  {[]string{"a", "b/c/d"}, map[string]string{"./": "", "a": "new", "b/": "", "b/c/": "", "b/c/d": "new"}},
		"none": {[]string{"a", "b/c/d", "a/e"}, map[string]string{"./": "", "a": "old"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := testenv.Folder(t, map[string]string{"a": "old"})
			err := route.Write(root, tt.paths...)
			if wantError := name == "none"; (err != nil) != wantError {
				t.Errorf("got error %v, want one: %t", err, wantError)
			}
			if diff := cmp.Diff(tt.want, read(t, root)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}
