package release

import "context"

// Browse opens an address in the user's browser.
func Browse(ctx context.Context, url string) error { return browse(ctx, url) }
