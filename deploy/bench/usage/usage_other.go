//go:build !linux

package usage

import (
	"errors"
	"time"
)

// Supported reports whether this operating system can be asked about another process.
const Supported = false

// CPU returns [errors.ErrUnsupported].
func CPU(int) (time.Duration, error) { return 0, errors.ErrUnsupported }

// Read returns [errors.ErrUnsupported].
func Read(int) (Reading, error) { return Reading{}, errors.ErrUnsupported }
