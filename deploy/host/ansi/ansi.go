// Package ansi styles text on terminals (ECMA-48, "Select graphic rendition").
package ansi

// Style is the parameter of a "Select graphic rendition" sequence.
type Style string

// Styles that all terminals support.
const (
	Bold   Style = "1"
	Faint  Style = "2"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
)

// Paint returns the text in the style, followed by a reset.
func (s Style) Paint(text string) string { return "\x1b[" + string(s) + "m" + text + "\x1b[0m" }
