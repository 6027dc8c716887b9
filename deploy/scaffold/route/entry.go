package route

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The keys of the template's mapping with an entry for each function.
const (
	functionsMapping = "Functions"
	functionIDs      = "Ids"
	functionTables   = "Tables"
)

// addEntry adds the function to the template.
func (p *project) addEntry(r *route) error {
	functions, err := p.template.mapping("Mappings", functionsMapping)
	if err != nil {
		return err
	}
	what := r.Method + " " + r.Path
	text := fmt.Sprintf(`%s:
  Name: %s
  Description: Serves %s
  Output: The function that serves %s
`, r.ID, r.Name, what, what)
	if r.collection != nil {
		table, err := p.tableOf(r, functions)
		if err != nil {
			return err
		}
		text += fmt.Sprintf("  %s: [%s]\n  %sActions: [dynamodb:GetItem]\n", functionTables, table, table)
	}
	p.template.after(last(functions), text)
	_, ids := find(functions, "All", functionIDs)
	if err := p.template.appendTo(ids, r.ID); err != nil {
		return fmt.Errorf("Mappings.%s.All.%s: %w", functionsMapping, functionIDs, err)
	}
	return nil
}

// tableOf returns the table of the collection: the first one of the function that reads an item.
func (p *project) tableOf(r *route, functions *yaml.Node) (string, error) {
	for _, o := range p.document.Routes() {
		if o.Path != r.collection.Item {
			continue
		}
		id := strings.TrimSuffix(o.Function, "Function")
		if _, tables := find(functions, id, functionTables); tables != nil && len(tables.Content) > 0 {
			return tables.Content[0].Value, nil
		}
	}
	return "", fmt.Errorf("%s: Mappings.%s: want the %s of a function that serves %s, got none", p.template.name,
		functionsMapping, functionTables, r.collection.Item)
}
