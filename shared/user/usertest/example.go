package usertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/userrequestapi/userdata/shared/user"
)

// Attributes returns the attributes of a valid user: the example of the API document without its id, and attributes,
// which alternates names and values.
func Attributes(tb testing.TB, attributes ...any) user.Attributes {
	tb.Helper()
	u, err := user.Decode([]byte(Body(tb, "{}")))
	if err != nil {
		tb.Fatalf("decode the example of the API document: %v", err)
	}
	for i := 0; i < len(attributes); i += 2 {
		u[attributes[i].(string)] = attributes[i+1]
	}
	return u
}

// Body returns the JSON of a valid user: the example of the API document without its id, and the members of a JSON
// object, such as {"userId": "1"}, in their notation.
func Body(tb testing.TB, members string) string {
	tb.Helper()
	base, err := example()
	if err != nil {
		tb.Fatal(err)
	}
	var own map[string]json.RawMessage
	if err := json.Unmarshal([]byte(members), &own); err != nil {
		tb.Fatalf("members of a user: want a JSON object, got %.100s: %v", members, err)
	}
	rest := maps.Clone(base)
	for name := range own {
		delete(rest, name)
	}
	body, err := json.Marshal(rest)
	if err != nil {
		tb.Fatal(err)
	}
	if len(rest) == 0 {
		return members
	}
	if len(own) == 0 {
		return string(body)
	}
	_, members, _ = strings.Cut(members, "{")
	return strings.TrimSuffix(string(body), "}") + "," + members
}

// example returns the example WithId of the request that creates a user, without the id.
//
//nolint:gochecknoglobals // read once, never changed
var example = sync.OnceValues(func() (map[string]json.RawMessage, error) {
	path, err := documentPath()
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the example of a user: %w", err)
	}
	var document struct {
		Components struct {
			RequestBodies map[string]struct {
				Content map[string]struct {
					Examples map[string]struct{ Value map[string]any }
				}
			} `yaml:"requestBodies"`
		}
	}
	if err := yaml.Unmarshal(content, &document); err != nil {
		return nil, fmt.Errorf("read the example of a user: %s: %w", path, err)
	}
	value := document.Components.RequestBodies["NewUser"].Content["application/json"].Examples["WithId"].Value
	if value == nil {
		return nil, fmt.Errorf("%s: want an example WithId of components.requestBodies.NewUser", path)
	}
	members := map[string]json.RawMessage{}
	for name, member := range value {
		if name == user.IDAttribute {
			continue
		}
		if members[name], err = json.Marshal(member); err != nil {
			return nil, fmt.Errorf("%s: the example WithId: %w", path, err)
		}
	}
	return members, nil
})

// documentPath returns the path of the API document, deploy/openapi.yaml in a parent of the working directory.
func documentPath() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the API document: %w", err)
	}
	for {
		path := filepath.Join(dir, "deploy", "openapi.yaml")
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path, err //nolint:wrapcheck // names the path
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find the API document: no deploy/openapi.yaml in a parent of the working directory")
		}
		dir = parent
	}
}
