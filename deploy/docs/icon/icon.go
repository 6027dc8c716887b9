// Package icon has the icon of the pages.
package icon

import _ "embed" // for the icon

// SVG is the icon. It must not be changed.
//
//go:embed icon.svg
var SVG []byte
