package site

// Guides and Resolve are for tests without the generator.
var Guides, Resolve = guides, resolve //nolint:gochecknoglobals // never changed
