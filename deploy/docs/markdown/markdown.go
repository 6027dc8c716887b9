// Package markdown edits Markdown documents in place.
package markdown

import "regexp"

// link matches the destination of a link, without its fragment, and code, which has no links.
var link = regexp.MustCompile("(?ms)^ *```.*?\n *```$|`[^`\n]*`|(\\]\\(|^\\[[^]\n]+\\]: +)([^)\\s#]+)")

// Links returns a document in which each link leads to resolve(destination). resolve gets the destination without its
// fragment, which is kept.
func Links(document string, resolve func(destination string) string) string {
	return link.ReplaceAllStringFunc(document, func(match string) string {
		parts := link.FindStringSubmatch(match)
		if parts[2] == "" { // code
			return match
		}
		return parts[1] + resolve(parts[2])
	})
}
