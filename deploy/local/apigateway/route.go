package apigateway

import (
	"errors"
	"fmt"
	"hash/fnv"
	"regexp"
	"strconv"
	"strings"
)

// resource is a node in the tree of paths.
type resource struct {
	path    string // such as /users/{userId}; "" if the document has no such path
	methods map[string]*method

	static   map[string]*resource // children by path part; nil in a greedy node, which has no children
	variable *resource            // child for {name}
	greedy   *resource            // child for {name+}
	name     string               // path parameter of a variable or greedy node
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

func (r *resource) method(name string) *method {
	if m := r.methods[name]; m != nil {
		return m
	}
	return r.methods[anyMethod]
}

// id returns an id derived from the path, in API Gateway's format: six lower-case letters and digits.
func (r *resource) id() string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(r.path))
	return strconv.FormatUint(h.Sum64()|1<<63, 36)[:6]
}

// add adds the path to the tree. r must be the root.
func (r *resource) add(path string) (*resource, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, errors.New("the path must begin with /")
	}
	node := r
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if path == "/" {
			break
		}
		next, err := node.child(part)
		if err != nil {
			return nil, err
		}
		node = next
	}
	node.path = path
	return node, nil
}

func (r *resource) child(part string) (*resource, error) {
	if r.static == nil {
		return nil, fmt.Errorf("greedy path parameter {%s+}: must be the last path part", r.name)
	}
	match := regexp.MustCompile(`^(?:([a-zA-Z0-9._:-]+)|\{([a-zA-Z0-9._:-]+)(\+?)\})$`).FindStringSubmatch(part)
	if match == nil {
		return nil, fmt.Errorf("path part: want letters, digits and ._-: or {parameter} or {parameter+}, got %q", part)
	}
	static, name, plus := match[1], match[2], match[3]
	if static != "" {
		if r.static[static] == nil {
			r.static[static] = newResource("")
		}
		return r.static[static], nil
	}
	slot := &r.variable
	if plus != "" {
		slot = &r.greedy
	}
	if *slot == nil {
		*slot = newResource(name)
		if plus != "" {
			(*slot).static = nil
		}
	}
	if (*slot).name != name {
		return nil, fmt.Errorf("path parameter {%s}: another path uses {%s} in the same position: use one name",
			name, (*slot).name)
	}
	return *slot, nil
}

func newResource(name string) *resource {
	return &resource{name: name, static: map[string]*resource{}}
}

// match returns the resource for a path that is not URL-decoded, and its path parameters. In each segment, a static
// part takes precedence over {name}, and {name} over {name+}. Trailing slashes are ignored. The resource is nil if none
// matches.
func (r *resource) match(path string) (*resource, map[string]string) {
	parameters := map[string]string{}
	found := r.descend(strings.TrimRight(strings.TrimPrefix(path, "/"), "/"), parameters)
	return found, parameters
}

func (r *resource) descend(path string, parameters map[string]string) *resource {
	if path == "" {
		if r.path == "" {
			return nil
		}
		return r
	}
	segment, rest, _ := strings.Cut(path, "/")
	if next := r.static[segment]; next != nil {
		if found := next.descend(rest, parameters); found != nil {
			return found
		}
	}
	if r.variable != nil && segment != "" {
		if found := r.variable.descend(rest, parameters); found != nil {
			parameters[r.variable.name] = segment
			return found
		}
	}
	if r.greedy != nil {
		parameters[r.greedy.name] = path
		return r.greedy
	}
	return nil
}
