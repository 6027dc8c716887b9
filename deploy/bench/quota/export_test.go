package quota

// Create exports create.
var Create = create //nolint:gochecknoglobals // for tests
