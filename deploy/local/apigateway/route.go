package apigateway

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// resource is a path of the API.
type resource struct {
	path    string   // such as /users/{userId}
	parts   []string // of the path
	methods map[string]*method
}

// anyMethod is the key for x-amazon-apigateway-any-method.
const anyMethod = "ANY"

// method is a method of a resource.
type method struct {
	operationName string
	authorize     authorizer
	required      []parameter // checked by validate
	integration   integration
}

// integration serves the requests of a method. Errors other than gatewayError result in 500.
type integration interface {
	serve(*exchange) (*response, error)
}

func (r *resource) method(name string) *method {
	return cmp.Or(r.methods[name], r.methods[anyMethod])
}

// id returns an id derived from the path, in API Gateway's format: six lower-case letters and digits.
func (r *resource) id() string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(r.path))
	return strconv.FormatUint(h.Sum64()|1<<63, 36)[:6]
}

// resources are ordered by precedence: a static part precedes {name}, and {name} precedes {name+}.
type resources []*resource

// add adds the resource of a path, without methods.
func (r *resources) add(path string) (*resource, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, errors.New("path: want one that begins with /")
	}
	added := &resource{path: path, parts: splitPath(path), methods: map[string]*method{}}
	for i, part := range added.parts {
		name := regexp.MustCompile(`^(?:[a-zA-Z0-9._:-]+|\{([a-zA-Z0-9._:-]+)\+?\})$`).FindStringSubmatch(part)
		if name == nil {
			return nil, fmt.Errorf("path part: want letters, digits and ._-: or {parameter} or {parameter+}, got %q", part)
		}
		if isGreedy(part) && i < len(added.parts)-1 {
			return nil, fmt.Errorf("greedy path parameter %s: want it as the last path part", part)
		}
		for _, other := range *r {
			if name[1] != "" && i < len(other.parts) && slices.Equal(other.parts[:i], added.parts[:i]) &&
				rank(other.parts[i]) == rank(part) && other.parts[i] != part {
				return nil, fmt.Errorf("path parameter %s: another path uses %s in the same position: use one name",
					part, other.parts[i])
			}
		}
	}
	*r = append(*r, added)
	slices.SortFunc(*r, func(a, b *resource) int {
		return slices.CompareFunc(a.parts, b.parts, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	})
	return added, nil
}

// splitPath returns the parts of a path. It ignores trailing slashes.
func splitPath(path string) []string {
	path = strings.TrimRight(path[1:], "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

func isGreedy(part string) bool { return strings.HasSuffix(part, "+}") }

// rank returns the precedence of a part.
func rank(part string) int {
	switch {
	case isGreedy(part):
		return 2
	case strings.HasPrefix(part, "{"):
		return 1
	}
	return 0
}

// match returns the resource for a path that is not URL-decoded, and its path parameters. The resource is nil if none
// matches.
func (r *resources) match(path string) (*resource, map[string]string) {
	parts := splitPath(path)
	for _, candidate := range *r {
		if parameters, ok := candidate.match(parts); ok {
			return candidate, parameters
		}
	}
	return nil, nil
}

func (r *resource) match(path []string) (parameters map[string]string, ok bool) {
	parameters = map[string]string{}
	for i, part := range r.parts {
		switch name := strings.Trim(part, "{+}"); {
		case i >= len(path):
			return nil, false
		case isGreedy(part):
			parameters[name] = strings.Join(path[i:], "/")
			return parameters, true
		case rank(part) == 1 && path[i] != "":
			parameters[name] = path[i]
		case part != path[i]:
			return nil, false
		}
	}
	return parameters, len(path) == len(r.parts)
}
