package local

import (
	"io"

	"github.com/userrequestapi/userdata/deploy/local/lambdahost"
)

// WriteJSON is what stdout gets where it is no terminal.
func WriteJSON(w io.Writer, event lambdahost.Event) error { return writeJSON(w, entry{event: event}) }

// WriteText is what a terminal gets.
func WriteText(w io.Writer, event lambdahost.Event, color bool) error {
	return reader{out: w, color: color}.write(entry{event: event})
}
