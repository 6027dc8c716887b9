package node

import "context"

// EnvironmentIn is [Environment] with another folder than the user's cache.
func EnvironmentIn(ctx context.Context, parent string, packageJSON, lock []byte, progress func(string)) (*Env, error) {
	return environment(ctx, parent, packageJSON, lock, progress)
}

// Look tells whether the machine has what [Environment] takes.
func Look(ctx context.Context) error {
	_, err := look(ctx)
	return err
}
