package route

import "fmt"

// functionsMapping is the mapping of the template with an entry for each function, and functionIDs their list.
const (
	functionsMapping = "Functions"
	functionIDs      = "Ids"
)

// addEntry adds the function to the template.
func (p *project) addEntry(r *route) error {
	functions, err := p.template.mapping("Mappings", functionsMapping)
	if err != nil {
		return err
	}
	what, tables := r.Method+" "+r.Path, ""
	if r.collection != nil {
		tables = "  Tables: [Table]\n  TableActions: [dynamodb:GetItem]\n"
	}
	p.template.after(last(functions), fmt.Sprintf(`%s:
  Name: %s
  Description: Serves %s
  Output: The function that serves %s
%s`, r.ID, r.Name, what, what, tables))
	_, ids := find(functions, "All", functionIDs)
	if err := p.template.appendTo(ids, r.ID); err != nil {
		return fmt.Errorf("Mappings.%s.All.%s: %w", functionsMapping, functionIDs, err)
	}
	return nil
}
