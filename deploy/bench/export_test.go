package bench

import "github.com/userrequestapi/userdata/deploy/contract"

// Complete exports complete.
func (r *Result) Complete(sizes []int) { r.complete(sizes) }

// FindRequest returns the method and the path of the request that a function is measured with, or "".
func FindRequest(document *contract.Document, function string) string {
	r, ok := findRequest(document, function)
	if !ok {
		return ""
	}
	return r.method + " " + r.path
}
