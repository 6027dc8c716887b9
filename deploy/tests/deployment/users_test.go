package deployment_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// crud creates, reads, replaces and deletes a user on the deployed stage.
func (c *checkout) crud(apiID string) {
	c.t.Helper()
	var user map[string]any
	status, header, body := c.call(apiID, http.MethodPost, "/users", `{"name": "Ada Lovelace"}`)
	if err := json.Unmarshal([]byte(body), &user); err != nil || status != http.StatusCreated {
		c.t.Fatalf("POST: got %d %s, error %v, want 201 and a user", status, body, err)
	}
	if header.Get("ETag") == "" {
		c.t.Error("POST: got no ETag, want one")
	}
	path := fmt.Sprint("/users/", user["userId"])
	for _, step := range []struct {
		method, path, body string
		want               int
	}{
		{http.MethodGet, path, "", http.StatusOK},
		{http.MethodGet, fmt.Sprint("/users?userId=", user["userId"]), "", http.StatusOK},
		{http.MethodPut, path, `{"name": "Ada King"}`, http.StatusOK},
		{http.MethodGet, "/users?limit=1", "", http.StatusOK},
		{http.MethodDelete, path, "", http.StatusNoContent},
		{http.MethodGet, path, "", http.StatusNotFound},
	} {
		if status, _, body := c.call(apiID, step.method, step.path, step.body); status != step.want {
			c.t.Errorf("%s %s: got %d %s, want %d", step.method, step.path, status, body, step.want)
		}
	}
}

func (c *checkout) create(apiID, userID string) {
	c.t.Helper()
	if status, _, body := c.call(
		apiID,
		http.MethodPost,
		"/users",
		fmt.Sprintf(`{"userId": %q}`, userID),
	); status != http.StatusCreated {
		c.t.Fatalf("POST: got %d %s, want 201", status, body)
	}
}

// detail returns the detail of a problem document, which the code of one function contains.
func (c *checkout) detail(apiID string) string {
	c.t.Helper()
	status, _, body := c.call(apiID, http.MethodGet, "/users?limit=0", "")
	if status != http.StatusBadRequest {
		c.t.Fatalf("GET: got %d %s, want 400", status, body)
	}
	return fmt.Sprint(decode(c.t, []byte(body))["detail"])
}

func (c *checkout) read(path string) string {
	c.t.Helper()
	content, err := os.ReadFile(filepath.Join(c.dir, path))
	if err != nil {
		c.t.Fatal(err)
	}
	return string(content)
}

// original returns the content of a file of the service, which no test changes.
func original(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(service, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
