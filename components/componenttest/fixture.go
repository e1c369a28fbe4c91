package componenttest

import (
	"testing"

	"caravan.dev/caravan/stacks"
)

// Plan is the plan of a small stack on an existing cluster, with some keys set
// otherwise: a model that is pulled, a queue as a stream.
func Plan(t *testing.T, config map[string]string) stacks.Plan {
	t.Helper()
	full := map[string]string{
		"caravan:cluster.kind": "kubeconfig", "caravan:profile": "laptop", "caravan:scaling.maxWorkers": "3",
	}
	for key, value := range config {
		full["caravan:"+key] = value
	}
	plan, err := stacks.Load("test", full)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}
