package tools

import "context"

// NodeIn and PythonIn are [Node] and [Python] with the folder parent instead of the user's cache.
var NodeIn, PythonIn = node, python //nolint:gochecknoglobals // never changed

// ProbeNode returns an error if the machine lacks what [Node] needs.
func ProbeNode(ctx context.Context) error {
	_, err := npm.find(ctx)
	return err
}
