package nearest_test

import (
	"testing"

	"github.com/userrequestapi/userdata/deploy/host/nearest"
)

func TestName(t *testing.T) {
	t.Parallel()
	candidates := []string{"run", "deploy", "deployFunction", "test", "test:all"}
	for _, tt := range []struct{ word, want string }{
		{"rnu", "run"},
		{"RUN", "run"},
		{"tests", "test"},
		{"test-all", "test:all"},
		{"deployfunctoin", "deployFunction"},
		{"install", ""},
		{"x", ""},
		{"", ""},
	} {
		t.Run(tt.word, func(t *testing.T) {
			t.Parallel()
			if got, ok := nearest.Name(tt.word, candidates); got != tt.want || ok != (tt.want != "") {
				t.Errorf("got %q, %t, want %q", got, ok, tt.want)
			}
		})
	}
}
