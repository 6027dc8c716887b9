package apigateway

import (
	"errors"
	"fmt"
	"hash/fnv"
	"regexp"
	"strconv"
	"strings"
)

// resource is a node of the tree of paths.
type resource struct {
	path    string // such as /users/{userId}; "" where the document has no such path
	methods map[string]*method

	static   map[string]*resource // nil in a greedy node, which has nothing below it
	variable *resource            // of {name}
	greedy   *resource            // of {name+}
	name     string               // of the path parameter, where this is variable or greedy
}

// anyMethod is the method of x-amazon-apigateway-any-method.
const anyMethod = "ANY"

// method is what one method of a resource does.
type method struct {
	operationName string
	authorize     authorizer
	// checks are those of the request validator. They run in order before the integration; the first error is the answer.
	checks      []func(*exchange) error
	integration integration
}

func (r *resource) method(name string) *method {
	if m := r.methods[name]; m != nil {
		return m
	}
	return r.methods[anyMethod]
}

// id is stable for a path and has the form of API Gateway's: six lower-case letters and digits.
func (r *resource) id() string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(r.path))
	return strconv.FormatUint(h.Sum64()|1<<63, 36)[:6]
}

// add puts the path into the tree below r, which is the root.
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
		return nil, fmt.Errorf("nothing can follow the greedy path parameter {%s+}", r.name)
	}
	match := regexp.MustCompile(`^(?:([a-zA-Z0-9._:-]+)|\{([a-zA-Z0-9._:-]+)(\+?)\})$`).FindStringSubmatch(part)
	if match == nil {
		return nil, fmt.Errorf("path part %q: use letters, digits and ._-: or a whole {parameter} or {parameter+}", part)
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
		return nil, fmt.Errorf("path parameter {%s}: the same place is called {%s} in another path", name, (*slot).name)
	}
	return *slot, nil
}

func newResource(name string) *resource {
	return &resource{name: name, static: map[string]*resource{}}
}

// match finds the resource of a path that is not URL-decoded: at each segment static text goes before {name}, and that
// before {name+}. Slashes at the end do not count. It returns nil when there is none.
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
