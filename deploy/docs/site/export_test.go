package site

import "io/fs"

// Build is [Write] into a new folder, with the scripts that modules, a folder node_modules, has.
func Build(dir string, root, modules fs.FS) error { return build(dir, root, modules) }
