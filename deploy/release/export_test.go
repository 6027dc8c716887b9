package release

import "context"

// Browse exports browse.
func Browse(ctx context.Context, url string) error { return browse(ctx, url) }
