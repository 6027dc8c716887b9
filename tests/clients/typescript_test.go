package clients_test

import (
	"os"
	"path/filepath"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/tests/stacktest"
)

// TestTypeScript generates types from the document, compiles a client against them, and runs it.
func TestTypeScript(t *testing.T) {
	t.Parallel()
	testenv.SkipUnlessAll(t)
	const folder = "typescript"
	env := packages(t, folder)
	dir := t.TempDir()
	for _, name := range []string{"package.json", "tsconfig.json", "users.ts"} {
		write(t, read(t, folder, name), dir, name)
	}
	if err := os.Symlink(env.Path(), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	write(t, document(t).JSON(), dir, "openapi.json")
	run(t, dir, nil, env.Program("openapi-typescript"), "openapi.json", "--output", "schema.d.ts")
	run(t, dir, nil, env.Program("tsc"))

	w := watch(t, stacktest.Start(t))
	const want = `created once: true
read: Ada Byron
replaced: Ada Lovelace
refused: 412 PreconditionFailed
deleted: Ada Lovelace, Grace Hopper, Katherine Johnson
`
	if d := gocmp.Diff(want, run(t, dir, nil, "node", "users.js", w.url)); d != "" {
		t.Errorf("the client printed (-want +got):\n%s", d)
	}
}
