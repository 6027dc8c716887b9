package python

import "context"

// EnvironmentIn is [Environment] with the folder parent instead of the user's cache.
func EnvironmentIn(ctx context.Context, parent string, requirements []byte, progress func(string)) (*Env, error) {
	return environment(ctx, parent, requirements, progress)
}
