package watch

import (
	"context"
	"maps"
	"slices"
)

// Sources returns the files that each function is compiled from, in order.
func Sources(ctx context.Context, config Config) (map[string][]string, error) {
	present, err := newScanner(config).scan(ctx)
	if err != nil {
		return nil, err
	}
	files := map[string][]string{}
	for _, file := range slices.Sorted(maps.Keys(present.sources)) {
		for function := range present.sources[file].functions {
			files[function] = append(files[function], file)
		}
	}
	return files, nil
}
