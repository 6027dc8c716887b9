package site

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
)

const (
	first   = "README.md" // the first page of a folder
	folder  = "docs"
	branch  = "main"
	extname = ".md"
)

// repository is the repository that contains the guides.
type repository struct {
	files     fs.FS
	url       string            // of its web page
	api       string            // the title of the API
	published map[string]string // paths in the site by paths in the repository
}

// read returns the guides in order, and adds the other published files of docs to files.
func (r *repository) read(files map[string][]byte) ([]*guide, error) {
	sources := []string{first}
	err := fs.WalkDir(r.files, folder, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(entry.Name(), ".") && entry.IsDir():
			return fs.SkipDir
		case strings.HasPrefix(entry.Name(), ".") || entry.IsDir():
			return nil
		case path.Ext(name) == extname:
			sources = append(sources, name)
		case r.publishes(name):
			r.published[name] = name
			files[name], err = fs.ReadFile(r.files, name)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find the guides: %w", err)
	}
	for _, source := range sources {
		r.published[source] = address(source)
		if dir, name := path.Split(source); name == first && dir != "" {
			r.published[path.Clean(dir)] = address(source)
		}
	}
	var guides []*guide
	var dead []error
	for _, source := range sources {
		markdown, err := fs.ReadFile(r.files, source)
		if err != nil {
			return nil, fmt.Errorf("read a guide: %w", err)
		}
		guide, err := read(source, markdown, func(link string) (string, string, error) { return r.resolve(source, link) })
		if err != nil {
			dead = append(dead, err)
			continue
		}
		guides = append(guides, guide)
	}
	if dead != nil {
		return nil, errors.Join(dead...)
	}
	sort(guides)
	return guides, nil
}

// publishes reports whether a file is published unchanged: images and the generated collections. Other files, such as
// exported documents of stages, are not published.
func (r *repository) publishes(name string) bool {
	switch path.Ext(name) {
	case ".svg", ".png":
		return true
	default:
		collection := folder + "/api/" + r.api
		return name == collection+".http" || name == collection+".postman_collection.json"
	}
}

// sort sorts the guides in the order of the links of the first page; those in a folder follow the folder's first page.
// Guides without a link come last, by name.
func sort(guides []*guide) {
	order := map[string]int{}
	for i, link := range slices.Backward(guides[0].Links) {
		order[link] = i - len(guides[0].Links)
	}
	place := func(guide *guide) int {
		if guide.nested() {
			return order[path.Join(path.Dir(guide.Source), first)]
		}
		return order[guide.Source]
	}
	slices.SortFunc(guides[1:], func(a, b *guide) int {
		before := cmp.Or(cmp.Compare(place(a), place(b)), strings.Compare(path.Dir(a.Source), path.Dir(b.Source)))
		switch {
		case before != 0:
			return before
		case path.Base(a.Source) == first:
			return -1
		case path.Base(b.Source) == first:
			return 1
		default:
			return strings.Compare(a.Source, b.Source)
		}
	})
}

// address returns the path in the site of a Markdown file.
func address(source string) string {
	if dir, name := path.Split(source); name == first {
		return dir + "index.html"
	}
	return strings.TrimSuffix(source, extname) + ".html"
}

// resolve returns the URL in the site of a link in a Markdown file: of a published file, or else of the repository's
// web page. For a link within the repository it also returns the path there.
func (r *repository) resolve(source, link string) (address, target string, err error) {
	to, err := url.Parse(link)
	switch {
	case err != nil:
		return "", "", err
	case to.Scheme != "" || to.Host != "":
		return link, "", wellFormed(to)
	case to.Path == "":
		return link, source, nil
	case path.IsAbs(to.Path):
		return "", "", errors.New("want a path relative to the page")
	}
	target = path.Join(path.Dir(source), to.Path)
	if !fs.ValidPath(target) {
		return "", "", errors.New("the path leaves the repository")
	}
	info, err := fs.Stat(r.files, target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", "", fmt.Errorf("there is no %s", target)
	case err != nil:
		return "", "", err
	}
	if page, ok := r.published[target]; ok {
		if info.IsDir() {
			target = path.Join(target, first)
		}
		return (&url.URL{Path: relative(r.published[source], page), Fragment: to.Fragment}).String(), target, nil
	}
	kind := "blob"
	if info.IsDir() {
		kind = "tree"
	}
	to.Path, to.RawPath = path.Join("/", kind, branch, target), ""
	return r.url + to.String(), target, nil
}
