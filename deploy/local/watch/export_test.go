package watch

import (
	"context"
	"maps"
	"slices"
)

// Sources returns the sorted source files of each function.
func Sources(ctx context.Context, config Config) (map[string][]string, error) {
	current, err := newScanner(config).scan(ctx)
	if err != nil {
		return nil, err
	}
	files := map[string][]string{}
	for _, file := range slices.Sorted(maps.Keys(current.sources)) {
		for function := range current.sources[file].functions {
			files[function] = append(files[function], file)
		}
	}
	return files, nil
}
