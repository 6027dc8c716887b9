package clients_test

import (
	"os"
	"path/filepath"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/userrequestapi/userdata/deploy/check/stacktest"
	"github.com/userrequestapi/userdata/deploy/check/testenv"
	"github.com/userrequestapi/userdata/deploy/host/tools"
	"github.com/userrequestapi/userdata/shared/user/usertest"
)

// TestTypeScript generates types from the document, compiles a client against them, and runs it.
func TestTypeScript(t *testing.T) {
	t.Parallel()
	testenv.SkipUnlessAll(t)
	const folder = "typescript"
	env := packages(t, folder)
	dir := t.TempDir()
	write(t, read(t, folder, "users.ts"), dir, "users.ts")
	write(t, document(t).Public().JSON(), dir, "openapi.json")
	run(t, dir, nil, env.Program("openapi-typescript"), "openapi.json", "--output", "schema.d.ts")
	compile(t, env, dir)

	w := startRecorder(t, stacktest.Start(t))
	const want = `created once: true
read: Ada Byron
replaced: Ada Lovelace
refused: 412 PreconditionFailed
deleted: Ada Lovelace, Grace Hopper, Katherine Johnson
`
	if d := gocmp.Diff(want, run(t, dir, nil, "node", "users.js", w.url, usertest.Body(t, "{}"))); d != "" {
		t.Errorf("the client printed (-want +got):\n%s", d)
	}
}

// compile compiles the TypeScript files in dir with the packages in env and options of tsc.
func compile(t *testing.T, env *tools.Env, dir string, options ...string) {
	t.Helper()
	for _, name := range []string{"package.json", "tsconfig.json"} {
		write(t, read(t, "typescript", name), dir, name)
	}
	if err := os.Symlink(env.Path(), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	run(t, dir, nil, env.Program("tsc"), options...)
}
