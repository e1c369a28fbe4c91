package componenttest

import (
	"testing"

	"sigs.k8s.io/yaml"

	"caravan.dev/caravan/components/internal/object"
	"caravan.dev/caravan/internal/golden"
)

// GoldenObject compares a Kubernetes object with a golden file, written as YAML in the way it is registered.
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
	golden.Check(t, name, string(text))
}
