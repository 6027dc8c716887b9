package route

import "path/filepath"

// Sources returns the files of the function that need neither the network nor a build, by path.
func Sources(root string, f Function) (map[string]string, error) {
	p, err := openProject(root)
	if err != nil {
		return nil, err
	}
	r, err := p.route(f)
	if err != nil {
		return nil, err
	}
	sources, _, err := p.sources(r)
	files := map[string]string{}
	for _, f := range sources {
		files[f.path] = string(f.content)
	}
	return files, err
}

// Write writes files with the content "new", or none.
func Write(root string, paths ...string) error {
	var files []file
	for _, path := range paths {
		files = append(files, file{filepath.ToSlash(path), []byte("new")})
	}
	return write(root, files)
}
