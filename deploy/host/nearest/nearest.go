// Package nearest finds the name that was meant by a misspelled one.
package nearest

import "strings"

// Name returns the candidate with the smallest edit distance to word, ignoring case. ok is false if none is close.
func Name(word string, candidates []string) (name string, ok bool) {
	least := min(max(2, len(word)/3)+1, len(word)) // a distance that makes it another word
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < least {
			least, name, ok = d, c, true
		}
	}
	return name, ok
}

// distance returns the Levenshtein distance of a and b, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
