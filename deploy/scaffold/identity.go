package scaffold

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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
	module     string   // path of the root module
	name       string   // of the API; what a stage contains is named after it
	tables     []string // of the stage prod
	repository string   // URL
	owner      string   // on GitHub, with @; "" if there is none
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
	tables, err := readTables(root)
	if err != nil {
		return identity{}, err
	}
	id := identity{module: modfile.ModulePath(content), name: document.Name(), tables: tables}
	if id.repository = repositoryOf(id.module); document.ExternalDocs != nil {
		id.repository = cmp.Or(document.ExternalDocs.URL, id.repository)
	}
	owners, err := os.ReadFile(filepath.Join(root, ".github", "CODEOWNERS"))
	if err == nil {
		id.owner = ownerIn(owners)
	}
	return id, nil
}

// readTables returns the names of the tables in the stage prod, that of the logical id Table first.
func readTables(root string) ([]string, error) {
	source, err := template.Load(os.DirFS(filepath.Join(root, "deploy")))
	if err != nil {
		return nil, err
	}
	rendered, err := source.Render(template.Options{})
	if err != nil {
		return nil, err
	}
	resources, err := rendered.Resolve(template.PseudoParameters{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, table := range resources.Tables() {
		if table.LogicalID == "Table" {
			names = slices.Insert(names, 0, table.Name)
			continue
		}
		names = append(names, table.Name)
	}
	return names, nil
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
		repository: repositoryOf(options.Module),
		owner:      cmp.Or(options.Owner, ownerOf(options.Module)),
	}
	table := cmp.Or(options.Table, strings.TrimSuffix(options.Name, "API")+"Data")
	switch {
	case to.module == id.module, contains(to.module, toolsModule), contains(toolsModule, to.module):
		return fault("MODULE", "another module path than that of this project and of its tools", to.module)
	case to.name == id.name:
		return fault("NAME", "another name than that of this project's API", to.name)
	case !tableName.MatchString(table):
		return fault("TABLE", "3 to 200 letters, digits, underscores, full stops and hyphens", table)
	case slices.Contains(id.tables, table):
		return fault("TABLE", "another name than those of this project's tables", table)
	case !ownerName.MatchString(to.owner):
		return fault("OWNER", "a user or team on GitHub, such as @acme/people", to.owner)
	}
	for i, old := range id.tables {
		switch {
		case i == 0:
			to.tables = append(to.tables, table)
		case strings.HasPrefix(old, id.tables[0]):
			to.tables = append(to.tables, table+strings.TrimPrefix(old, id.tables[0]))
		default: // begins with the name of the API, or is no part of the identity
			to.tables = append(to.tables, strings.Replace(old, id.name, to.name, 1))
		}
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
