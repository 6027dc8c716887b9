package site

import "io/fs"

const web = "https://github.com/userrequestapi/userdata" // of the repository in tests without the generator

// Guides returns the published files of a repository.
func Guides(root fs.FS) (map[string][]byte, error) { return guides(root, web) }

// Resolve resolves the links of a page of a repository.
func Resolve(root fs.FS, name string, document []byte) ([]byte, error) {
	return resolve(root, web, name, document)
}
