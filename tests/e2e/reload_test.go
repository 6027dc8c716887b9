package e2e_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/local"
	"github.com/userrequestapi/userdata/shared/user/usertest"
)

// edit replaces the only occurrence of old in file.
func edit(t *testing.T, file, old, replacement string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(content), old); n != 1 {
		t.Fatalf("%s contains %q %d times, want once", file, old, n)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(content), old, replacement, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestReload saves changes while clients send requests, none of which may fail.
func TestReload(t *testing.T) {
	t.Parallel()
	root := stacktest.Checkout(t)
	s := stacktest.Start(t, func(cfg *local.Config) { cfg.Root, cfg.Watch = root, true })
	clients := []string{"ada", "grace"}
	s.Client = stacktest.NewClient(t, s.URL, nil) // without a contract: the changes add undocumented responses
	for _, id := range clients {
		s.Do(t, "POST", "/users", usertest.Body(t, `{"userId": "`+id+`"}`)).Want(t, 201)
	}
	body := usertest.Body(t, `{}`)
	stop := make(chan struct{})
	var others sync.WaitGroup
	for _, id := range clients { // of a function that always compiles
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond): // leave processor time for the builds
					s.Do(t, "PUT", "/users?userId="+id, body).Want(t, 200)
				}
			}
		})
	}
	defer others.Wait()
	defer close(stop)

	get := filepath.Join(root, "functions", "get", "get.go")
	list := func() string { return string(s.Do(t, "GET", "/users", "").Body) }

	edit(t, get, `{"items":[`, `{"changed":[`)
	testenv.Eventually(t, "the changed function", func() bool { return strings.HasPrefix(list(), `{"changed":[`) })

	edit(t, get, "page.More, page.Next", "page.More, page.Missing")
	testenv.Eventually(t, "the fault", func() bool { return s.Do(t, "GET", "/users", "").Status == http.StatusInternalServerError })
	failed := s.Do(t, "GET", "//users", "")
	if p := failed.Problem(t, http.StatusInternalServerError, "BuildFailed"); !strings.Contains(p.Detail, "functions/get/get.go:") ||
		p.Instance != "/"+s.Stage()+"/users" {
		t.Errorf("problem = %+v, want the file and line, and the path with the stage", p)
	}

	edit(t, get, "page.More, page.Missing", "page.More, page.Next")
	testenv.Eventually(t, "the mended function", func() bool { return strings.HasPrefix(list(), `{"changed":[`) })

	folder := filepath.Dir(get)
	if err := os.Rename(folder, folder+"-renamed"); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the missing folder", func() bool {
		return s.Do(t, "GET", "/users", "").Status == http.StatusInternalServerError
	})
	p := s.Do(t, "GET", "/users", "").Problem(t, http.StatusInternalServerError, "BuildFailed")
	for _, want := range []string{"the folder of the function is missing", "functions/get"} {
		if !strings.Contains(p.Detail, want) {
			t.Errorf("detail = %q, want %q in it", p.Detail, want)
		}
	}
	if err := os.Rename(folder+"-renamed", folder); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the folder that is back", func() bool { return strings.HasPrefix(list(), `{"changed":[`) })

	// All functions import this file.
	edit(t, filepath.Join(root, "shared", "response", "response.go"), `"nosniff"`, `"changed"`)
	for _, request := range [][3]string{{"GET", "/users", ""}, {"PUT", "/users/ada", body}, {"POST", "/users", `[]`}, {"DELETE", "/users/nobody", ""}} {
		testenv.Eventually(t, "all changed functions", func() bool {
			r := s.Do(t, request[0], request[1], request[2])
			return r.Header.Get("X-Content-Type-Options") == "changed"
		})
	}

	document := filepath.Join(root, "deploy", "openapi.yaml")
	s.Do(t, "GET", "/people/ada", "").Want(t, 404)
	edit(t, document, "\n  /users/{userId}:\n", "\n  /people/{userId}:\n")
	testenv.Eventually(t, "the changed route", func() bool { return s.Do(t, "GET", "/people/ada", "").Status == 200 })
	edit(t, document, "\n  /people/{userId}:\n", "\n  : people/{userId}:\n") // invalid YAML: the running API is kept
	edit(t, get, `{"changed":[`, `{"last":[`)
	testenv.Eventually(t, "the last change", func() bool { return strings.HasPrefix(list(), `{"last":[`) })
	s.Do(t, "GET", "/people/ada", "").Want(t, 200)
	state := stacktest.NewClient(t, strings.TrimSuffix(s.Console, "/"), nil).Do(t, "GET", "/_local/api/stack", "")
	failures, err := json.Marshal(state.JSON(t)["failures"])
	if err != nil || !strings.Contains(string(failures), "openapi.yaml") {
		t.Errorf("failures = %s, want that of openapi.yaml", failures)
	}
}
