package rules

// CheckDocument is [Check] of a document that is decoded already.
func CheckDocument(document map[string]any, parameters map[string]string) ([]Violation, error) {
	return check(document, parameters)
}
