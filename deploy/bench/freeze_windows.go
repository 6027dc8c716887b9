package bench

import "errors"

// freeze returns an error: see [Run].
func freeze(int, func()) error { return errors.ErrUnsupported }
