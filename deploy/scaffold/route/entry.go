package route

import (
	"fmt"
	"strings"

	"github.com/userrequestapi/userdata/deploy/contract"
)

// The keys of the template's mapping with an entry for each function.
const (
	functionsMapping = "Functions"
	allEntry         = "All"
	functionIDs      = "Ids"
	functionTables   = "Tables" // also the mapping of the tables
	tableVariable    = "Variable"
)

// storeVariable is the variable with the table of the store that function.Start gives a handler.
const storeVariable = "TABLE_NAME"

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
	if r.table != "" {
		text += fmt.Sprintf("  %s: [%s]\n  %sActions: [dynamodb:GetItem]\n", functionTables, r.table, r.table)
	}
	p.template.after(last(functions), text)
	_, ids := find(functions, allEntry, functionIDs)
	if err := p.template.appendTo(ids, r.ID); err != nil {
		return fmt.Errorf("the mapping %s, %s.%s: %w", functionsMapping, allEntry, functionIDs, err)
	}
	return nil
}

// tableOf returns the table of a collection, if a new function can read its items with the store that function.Start
// gives it, and "" otherwise: a function that serves an item reads this table.
func (p *project) tableOf(c contract.Collection) string {
	for _, o := range p.document.Routes() {
		if o.Path != c.Item {
			continue
		}
		_, tables := find(p.template.root,
			"Mappings", functionsMapping, strings.TrimSuffix(o.Function, "Function"), functionTables)
		if tables == nil {
			continue
		}
		for _, table := range tables.Content {
			_, variable := find(p.template.root, "Mappings", functionTables, table.Value, tableVariable)
			if variable != nil && variable.Value == storeVariable {
				return table.Value
			}
		}
	}
	return ""
}
