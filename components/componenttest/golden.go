package componenttest

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"caravan.dev/caravan/components/internal/object"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Golden compares text with the file testdata/name, or rewrites the file when
// the test runs with -update.
func Golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("reading the golden file: %v (write it with -update)", err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("%s differs (-golden +got); if that is meant, rewrite it with -update:\n%s", path, diff)
	}
}

// GoldenObject is Golden for a Kubernetes object, written as YAML in the way it is registered.
func GoldenObject(t *testing.T, name string, obj any) {
	t.Helper()
	plain, err := object.Plain(obj)
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(plain)
	if err != nil {
		t.Fatal(err)
	}
	Golden(t, name, string(text))
}
