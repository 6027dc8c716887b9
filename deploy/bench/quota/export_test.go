package quota

// Exports for tests.
var (
	Create    = create    //nolint:gochecknoglobals // for tests
	Limit     = limit     //nolint:gochecknoglobals // for tests
	PerPeriod = perPeriod //nolint:gochecknoglobals // for tests
)
