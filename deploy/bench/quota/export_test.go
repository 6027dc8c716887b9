package quota

import "time"

// Create creates a group below a folder.
func Create(parent string, memoryMB int) (*Group, error) { return create(parent, memoryMB) }

// Limit sets the quota of the group in a folder.
func Limit(dir string, memoryMB int) error { return limit(dir, memoryMB) }

// PerPeriod returns the quota of a memory size.
func PerPeriod(memoryMB int) time.Duration { return perPeriod(memoryMB) }
