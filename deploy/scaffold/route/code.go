package route

import (
	"bytes"
	"embed"
	"fmt"
	"go/format"
	"path"
	"strings"
	"text/template"
)

//go:embed templates/*.tmpl
var functionTemplates embed.FS

// code returns the Go files of the function.
func (p *project) code(r *route) ([]file, error) {
	templates, err := template.ParseFS(functionTemplates, "templates/*.tmpl")
	if err != nil {
		return nil, err
	}
	var files []file
	for _, name := range []string{"main.go", "handler.go", "handler_test.go"} {
		var source bytes.Buffer
		if err := templates.ExecuteTemplate(&source, name+".tmpl", r); err != nil {
			return nil, err
		}
		formatted, err := format.Source(source.Bytes())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files = append(files, file{path.Join(r.folder(), strings.Replace(name, "handler", r.Name, 1)), formatted})
	}
	return files, nil
}
