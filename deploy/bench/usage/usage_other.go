//go:build !linux

package usage

import (
	"errors"
	"time"
)

// Supported reports whether [CPU] and [PeakMemory] support this operating system.
const Supported = false

// CPU returns [errors.ErrUnsupported].
func CPU(int) (time.Duration, error) { return 0, errors.ErrUnsupported }

// PeakMemory returns [errors.ErrUnsupported].
func PeakMemory(int) (int, error) { return 0, errors.ErrUnsupported }
