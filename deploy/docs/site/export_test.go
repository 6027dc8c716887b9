package site

import "io/fs"

// Build is [Write] into a new folder, with scripts from modules, a folder node_modules.
func Build(dir string, root, modules fs.FS) error { return build(dir, root, modules) }
