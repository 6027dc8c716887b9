// Package ansi makes text stand out on terminals (ECMA-48, "Select graphic rendition").
package ansi

// Style is how text is shown.
type Style string

// The styles that terminals have had for long.
const (
	Bold   Style = "1"
	Faint  Style = "2"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
)

// Paint returns the text in the style, with what follows it as before.
func (s Style) Paint(text string) string { return "\x1b[" + string(s) + "m" + text + "\x1b[0m" }
