package scaffold

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"

	"github.com/userrequestapi/userdata/deploy/contract"
	"github.com/userrequestapi/userdata/deploy/template"
)

// toolsModule is the path of this module, which a project requires.
const toolsModule = "github.com/userrequestapi/userdata/deploy"

// toolsRepository returns the URL of the repository with the tools.
func toolsRepository() string { return "https://" + strings.TrimSuffix(toolsModule, "/deploy") }

// identity distinguishes a project from others that are made from the same sources.
type identity struct {
	module     string // path of the root module
	name       string // of the API; what a stage contains is named after it
	table      string // of the stage prod
	repository string // URL
	owner      string // on GitHub, with @; "" if there is none
}

// readIdentity reads the identity of the project at root from its documents.
func readIdentity(root string) (identity, error) {
	content, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return identity{}, fmt.Errorf("read the module of this project: %w", err)
	}
	deploy := os.DirFS(filepath.Join(root, "deploy"))
	document, err := contract.Read(deploy)
	if err != nil {
		return identity{}, err
	}
	table, err := readTable(root)
	if err != nil {
		return identity{}, err
	}
	id := identity{module: modfile.ModulePath(content), name: document.Name(), table: table}
	if id.repository = repositoryOf(id.module); document.ExternalDocs != nil {
		id.repository = cmp.Or(document.ExternalDocs.URL, id.repository)
	}
	owners, err := os.ReadFile(filepath.Join(root, ".github", "CODEOWNERS"))
	if err == nil {
		id.owner = ownerIn(owners)
	}
	return id, nil
}

// readTable returns the name of the table in the stage prod.
func readTable(root string) (string, error) {
	source, err := template.Load(os.DirFS(filepath.Join(root, "deploy")))
	if err != nil {
		return "", err
	}
	rendered, err := source.Render(template.Options{})
	if err != nil {
		return "", err
	}
	resources, err := rendered.Resolve(template.PseudoParameters{})
	if err != nil {
		return "", err
	}
	return resources.Table().Name, nil
}

// ownerIn returns the first owner of all files in the content of a CODEOWNERS file.
func ownerIn(content []byte) string {
	for scanner := bufio.NewScanner(bytes.NewReader(content)); scanner.Scan(); {
		if fields := strings.Fields(scanner.Text()); len(fields) > 1 && fields[0] == "*" {
			return fields[1]
		}
	}
	return ""
}

var (
	// A trace's segment is named NAME-STAGE, and X-Ray's limit for rules and groups is 32 characters: the template allows
	// stages with up to 17.
	apiName   = regexp.MustCompile(`^[A-Z][A-Za-z0-9]{2,13}$`)
	tableName = regexp.MustCompile(`^[A-Za-z0-9_.-]{3,200}$`)
	ownerName = regexp.MustCompile(`^@?[A-Za-z0-9-]+(/[A-Za-z0-9_.-]+)?$`)
)

// derive returns the identity of the project that options describe.
func (id identity) derive(options ProjectOptions) (identity, error) {
	fault := func(setting, want, got string) (identity, error) {
		return identity{}, fmt.Errorf("%s: want %s, got %q", setting, want, got)
	}
	if err := module.CheckPath(options.Module); err != nil {
		return identity{}, fmt.Errorf("MODULE: want a module path, such as example.com/acme/people: %w", err)
	}
	if !apiName.MatchString(options.Name) {
		return fault("NAME", "3 to 14 letters and digits, the first in upper case, such as PeopleAPI", options.Name)
	}
	to := identity{
		module:     options.Module,
		name:       options.Name,
		table:      cmp.Or(options.Table, strings.TrimSuffix(options.Name, "API")+"Data"),
		repository: repositoryOf(options.Module),
		owner:      cmp.Or(options.Owner, ownerOf(options.Module)),
	}
	switch {
	case to.module == id.module, contains(to.module, toolsModule), contains(toolsModule, to.module):
		return fault("MODULE", "another module path than that of this project and of its tools", to.module)
	case to.name == id.name:
		return fault("NAME", "another name than that of this project's API", to.name)
	case !tableName.MatchString(to.table):
		return fault("TABLE", "3 to 200 letters, digits, underscores, full stops and hyphens", to.table)
	case to.table == id.table:
		return fault("TABLE", "another name than that of this project's table", to.table)
	case !ownerName.MatchString(to.owner):
		return fault("OWNER", "a user or team on GitHub, such as @acme/people", to.owner)
	}
	to.owner = "@" + strings.TrimPrefix(to.owner, "@")
	return to, nil
}

// repositoryOf returns the URL of the repository with the module path, which may name a folder of it.
func repositoryOf(path string) string {
	prefix, _, _ := module.SplitPathVersion(path)
	elements := strings.Split(prefix, "/")
	switch elements[0] {
	case "github.com", "gitlab.com", "bitbucket.org":
		elements = elements[:min(3, len(elements))]
	}
	return "https://" + strings.Join(elements, "/")
}

// ownerOf returns the user or organization that a module path names.
func ownerOf(path string) string {
	elements := strings.Split(path, "/")
	return "@" + strings.ReplaceAll(elements[min(1, len(elements)-1)], ".", "-")
}

// contains reports whether the module path inner is outer, or below it.
func contains(outer, inner string) bool { return inner == outer || strings.HasPrefix(inner, outer+"/") }
