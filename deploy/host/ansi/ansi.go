// Package ansi styles text on terminals (ECMA-48, "Select graphic rendition").
package ansi

import (
	"os"

	"golang.org/x/term"
)

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

// Paint returns the text in the style, followed by a reset. It returns the text unchanged if it is empty or color is
// false.
func (s Style) Paint(color bool, text string) string {
	if !color || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// Color reports whether the text written to a file may be styled: the file is a terminal that supports it (TERM), and
// the user has not turned colors off with NO_COLOR (https://no-color.org).
func Color(file *os.File, getenv func(string) string) bool {
	return term.IsTerminal(int(file.Fd())) && getenv("TERM") != "dumb" && getenv("NO_COLOR") == ""
}
