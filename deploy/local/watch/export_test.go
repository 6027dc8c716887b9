package watch

import (
	"maps"
	"slices"
)

// Sources returns the sorted source files of each function.
func Sources(config Config) (map[string][]string, error) {
	current, err := newScanner(config).scan()
	if err != nil {
		return nil, err
	}
	files := map[string][]string{}
	for _, file := range slices.Sorted(maps.Keys(current.sources)) {
		for user := range current.sources[file].users {
			files[user] = append(files[user], file)
		}
	}
	delete(files, api)
	return files, nil
}
