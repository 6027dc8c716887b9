package rules

// CheckDocument is [Check] of a document that is decoded already.
func CheckDocument(document map[string]any, parameters map[string]string) ([]Violation, error) {
	return check(document, parameters)
}

// Names returns the names of all rules.
func Names() []string {
	var names []string
	for _, rule := range all() {
		names = append(names, rule.name)
	}
	return names
}
