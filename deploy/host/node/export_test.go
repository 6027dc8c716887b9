package node

import "context"

// EnvironmentIn is [Environment] with the folder parent instead of the user's cache.
func EnvironmentIn(ctx context.Context, parent string, packageJSON, lock []byte, progress func(string)) (*Env, error) {
	return environment(ctx, parent, packageJSON, lock, progress)
}

// Probe returns an error if the machine lacks what [Environment] needs.
func Probe(ctx context.Context) error {
	_, err := probeNode(ctx)
	return err
}
