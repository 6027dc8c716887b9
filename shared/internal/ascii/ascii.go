// Package ascii checks strings against sets of ASCII characters. It replaces regular expressions, whose compilation
// would add to the cold start of a function.
package ascii

import "strings"

// IsAlphanumeric reports whether s is not empty and consists only of letters, digits, and the characters in others.
func IsAlphanumeric(s, others string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return s != ""
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
