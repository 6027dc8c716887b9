package tools

import "context"

// NodeIn and PythonIn are [Node] and [Python] with the folder parent instead of the user's cache.
var NodeIn, PythonIn = node, python

// ProbeNode returns an error if the machine lacks what [Node] needs.
func ProbeNode(ctx context.Context) error {
	_, err := probeNode(ctx)
	return err
}
