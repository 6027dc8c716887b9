package site

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"github.com/userrequestapi/userdata/deploy/docs/icon"
	"github.com/userrequestapi/userdata/deploy/docs/markdown"
)

var (
	// published matches the files of the repository that the site contains. Others, such as the exported documents of
	// stages in docs/api, stay private.
	published = regexp.MustCompile(
		`^(README\.md|docs/([^./][^/]*/)*[^./][^/]*\.(md|svg|png)|docs/api/[^./]+\.(http|postman_collection\.json))$`)
)

// guides returns the published files of the repository by their paths. web is the URL of the repository's web page. The
// generator checks the links between the files.
func guides(root fs.FS, web string) (map[string][]byte, error) {
	files := map[string][]byte{"assets/icon.svg": icon.SVG}
	read := func(name string) error {
		content, err := fs.ReadFile(root, name)
		if err == nil && path.Ext(name) == ".md" {
			content, err = resolve(root, web, name, content)
		}
		files[name] = content
		return err
	}
	dead := []error{read("README.md")}
	err := fs.WalkDir(root, "docs", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && published.MatchString(name) {
			dead = append(dead, read(name))
		}
		return err
	})
	return files, errors.Join(append(dead, err)...)
}

// resolve returns a guide in which the links to other files of the repository lead to its web page. The error names the
// links to files that do not exist.
func resolve(root fs.FS, web, name string, document []byte) ([]byte, error) {
	var dead []error
	resolved := markdown.Links(string(document), func(target string) string {
		if strings.Contains(target, ":") { // a URL
			return target
		}
		file := path.Join(path.Dir(name), target)
		info, err := fs.Stat(root, file)
		switch {
		case err != nil:
			dead = append(dead, fmt.Errorf("%s: dead link %s: there is no %s", name, target, file))
			return target
		case !info.IsDir() && published.MatchString(file):
			return target
		case !info.IsDir():
			return web + "/blob/main/" + file
		}
		if index := path.Join(file, "README.md"); published.MatchString(index) {
			if _, err := fs.Stat(root, index); err == nil {
				return path.Join(target, "README.md")
			}
		}
		return web + "/tree/main/" + file
	})
	return []byte(resolved), errors.Join(dead...)
}
