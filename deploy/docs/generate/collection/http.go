package collection

import (
	"fmt"
	"strings"
)

// HTTP returns the collection as a .http file, in the common subset of the HTTP clients of Visual Studio Code, Visual
// Studio and JetBrains, and httpYac: variables, requests that begin with ###, and comments that begin with #. They
// differ in how several requests share a new id, so the file uses a fixed one.
func (c *Collection) HTTP() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s %s. Generated from the API document: edit only the values of the variables.\n#\n",
		c.title, c.version)
	b.WriteString("# Send the requests one by one, or all in order: they delete what they create.\n")
	b.WriteString("# Add the authorization that the stage requires, if any:\n")
	for _, a := range c.authorizations {
		comment(&b, "- "+a.value+": "+a.description)
	}
	b.WriteString("\n")
	for _, v := range c.variables {
		comment(&b, v.description)
		fmt.Fprintf(&b, "@%s = %s\n", v.name, v.value)
	}
	for _, f := range c.folders {
		for _, r := range f.requests {
			b.WriteString("\n")
			r.writeHTTP(&b)
		}
	}
	return []byte(b.String())
}

func (r request) writeHTTP(b *strings.Builder) {
	fmt.Fprintf(b, "### %s\n", r.name)
	comment(b, r.description)
	query, optional := split(r.query, "=")
	if len(optional) > 0 {
		comment(b, "Optional in the query: "+strings.Join(optional, ", "))
	}
	header, optional := split(r.header, ": ")
	for _, line := range optional {
		comment(b, "Optional header: "+line)
	}
	address := r.path
	if len(query) > 0 {
		address += "?" + strings.Join(query, "&")
	}
	fmt.Fprintf(b, "%s {{%s}}%s\n", r.method, baseURL, address)
	for _, line := range header {
		b.WriteString(line + "\n")
	}
	if r.body != "" {
		fmt.Fprintf(b, "\n%s\n", r.body)
	}
}

// split returns the required and the optional parameters as they are sent.
func split(parameters []parameter, separator string) (required, optional []string) {
	for _, p := range parameters {
		sent := p.name + separator + p.value.value
		if p.required {
			required = append(required, sent)
		} else {
			optional = append(optional, sent)
		}
	}
	return required, optional
}

// comment writes s as comments, wrapped. It inserts "..." before a word that would be a directive at the beginning of a
// line, such as "@name".
func comment(b *strings.Builder, s string) {
	const width = 120
	line := "#"
	for word := range strings.FieldsSeq(s) {
		if len(line)+1+len(word) > width {
			b.WriteString(line + "\n")
			line = "#"
		}
		if line == "#" && (strings.HasPrefix(word, "@") || strings.HasPrefix(word, "#") || strings.HasPrefix(word, "//")) {
			line += " ..."
		}
		line += " " + word
	}
	if line != "#" {
		b.WriteString(line + "\n")
	}
}
