package stage

import "io"

// Ask is ask, for tests with other streams than those of the terminal.
func Ask(in io.Reader, out io.Writer) AskFunc { return ask(in, out) }
