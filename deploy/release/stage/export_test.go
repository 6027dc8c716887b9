package stage

import (
	"context"
	"io"
)

// Ask is ask, for tests with other streams than those of the terminal.
func Ask(in io.Reader, out io.Writer) func(ctx context.Context, question string) (string, error) {
	return ask(in, out)
}
