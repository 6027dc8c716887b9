package stage_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/userrequestapi/userdata/deploy/release/exitcode"
	"github.com/userrequestapi/userdata/deploy/release/stage"
)

func TestAsk(t *testing.T) {
	t.Parallel()
	t.Run("reply", func(t *testing.T) {
		t.Parallel()
		var out strings.Builder
		reply, err := stage.Ask(strings.NewReader(" prod \nmore\n"), &out)(t.Context(), "Which? ")
		if reply != "prod" || err != nil || out.String() != "Which? " {
			t.Errorf("got %q, error %v, output %q, want prod and the question", reply, err, out.String())
		}
	})
	t.Run("end of the input", func(t *testing.T) {
		t.Parallel()
		_, err := stage.Ask(strings.NewReader("pro"), io.Discard)(t.Context(), "Which? ")
		coded, ok := errors.AsType[*exitcode.Error](err)
		if !ok || coded.Code != exitcode.Refused || !errors.Is(err, io.EOF) {
			t.Errorf("error = %v, want %v with the code %d", err, io.EOF, exitcode.Refused)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		t.Parallel()
		never, writer := io.Pipe()
		t.Cleanup(func() { _ = writer.Close() })
		cause := errors.New("interrupted")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		if _, err := stage.Ask(never, io.Discard)(ctx, "Which? "); !errors.Is(err, cause) {
			t.Errorf("error = %v, want %v", err, cause)
		}
	})
}
