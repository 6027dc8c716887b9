package dynamodb_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/userrequestapi/userdata/deploy/local/dynamodb"
)

const none = "/nonexistent/command"

func TestStart_Missing(t *testing.T) {
	t.Parallel()
	ways := []string{
		"install it", "docker run -d --rm -p 127.0.0.1:8000:8000 amazon/dynamodb-local",
		"DYNAMODB_ENDPOINT=http://127.0.0.1:8000 go tool mage run",
	}
	java := fakeJava(t, "17.0.15", "")
	tests := []struct {
		name   string
		config dynamodb.Config
		want   string
	}{
		{
			"both", dynamodb.Config{Java: none, NPM: none, CacheDir: t.TempDir()},
			"needs Java 17 or newer and npm (once, to download it), not found",
		},
		{"Java", dynamodb.Config{Java: none, CacheDir: fakeCache(t)}, "needs Java 17 or newer, not found"},
		{"npm", dynamodb.Config{Java: java, NPM: none, CacheDir: t.TempDir()}, "needs npm (once, to download it), not found"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := dynamodb.Start(t.Context(), tt.config)
			wantMessage(t, err, append(ways, tt.want)...)
		})
	}
}

func TestStart_JavaVersion(t *testing.T) {
	t.Parallel()
	const tooOld, recent = "too old for DynamoDB Local: install Java 17 or newer", "create the data folder"
	tests := []struct{ version, want string }{
		{"1.8.0_392", tooOld},
		{"9", tooOld},
		{"11.0.2", tooOld},
		{"16.0.2", tooOld},
		{"17-ea", recent},
		{"17.0.15", recent},
		{"21", recent},
		{"25.0.2", recent},
		{"26-ea", recent},
		{"unheard", "unknown version"},
	}
	for _, tt := range tests {
		t.Run(tt.version, func(t *testing.T) {
			t.Parallel()
			java := fakeJava(t, tt.version, "")
			// The next step fails because the data folder is a file.
			config := dynamodb.Config{Java: java, CacheDir: fakeCache(t), DataDir: java}
			_, err := dynamodb.Start(t.Context(), config)
			wantMessage(t, err, tt.want)
			if tt.want == tooOld {
				wantMessage(t, err, config.Java+" is Java "+tt.version, "DYNAMODB_ENDPOINT")
			}
		})
	}
}

func TestStart_JavaDoesNotRun(t *testing.T) {
	t.Parallel()
	config := dynamodb.Config{Java: script(t, `echo "Unable to locate a Java Runtime."; exit 1`), CacheDir: fakeCache(t)}
	_, err := dynamodb.Start(t.Context(), config)
	wantMessage(t, err, "does not run (exit status 1: Unable to locate a Java Runtime.)", "install Java 17", "DYNAMODB_ENDPOINT")
}

func TestStart_FindsJava(t *testing.T) {
	home, bin := t.TempDir(), t.TempDir()
	place(t, fakeJava(t, "8", ""), filepath.Join(home, "bin"))
	place(t, fakeJava(t, "9", ""), bin)
	t.Setenv("PATH", bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	cache := fakeCache(t)

	t.Setenv("JAVA_HOME", home)
	_, err := dynamodb.Start(t.Context(), dynamodb.Config{CacheDir: cache})
	wantMessage(t, err, filepath.Join(home, "bin", "java")+" is Java 8, too old")

	t.Setenv("JAVA_HOME", t.TempDir())
	_, err = dynamodb.Start(t.Context(), dynamodb.Config{CacheDir: cache})
	wantMessage(t, err, filepath.Join(bin, "java")+" is Java 9, too old")
}

// place moves command to dir/java.
func place(t *testing.T, command, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(command, filepath.Join(dir, "java")); err != nil {
		t.Fatal(err)
	}
}
