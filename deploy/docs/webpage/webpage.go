// Package webpage has files that the API reference and the pages of the local stack share.
package webpage

import _ "embed" // for the files

// CSS is the style sheet of colors, fonts and the bar at the top. It must not be changed.
//
//go:embed page.css
var CSS []byte

// Indent is the script that defines the function indentJSON. It must not be changed.
//
//go:embed indent.js
var Indent []byte
