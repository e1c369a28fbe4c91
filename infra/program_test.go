package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"sigs.k8s.io/yaml"

	"caravan.dev/caravan/components/componenttest"
	"caravan.dev/caravan/internal/golden"
)

// kedaManifests stand for what the embedded cluster renders, which is not in the repository.
const kedaManifests = "manifests.yaml"

// run runs the program as the engine does with the config of one of the
// repository's stack files and some keys set otherwise.
func run(t *testing.T, stackFile string, config map[string]string) (*componenttest.Graph, error) {
	t.Helper()
	text, err := json.Marshal(configOf(t, filepath.Join("..", stackFile), config))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(pulumi.EnvConfig, string(text))
	root := project(t)
	t.Setenv("KUBECONFIG", kubeconfig(t, filepath.Join(root, "kubeconfig"), "kind-caravan"))
	return componenttest.Run(t, root, program)
}

// project is a project's folder as `make up` leaves it, with the repository's
// pipelines and a kubeconfig of the embedded cluster.
func project(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, target := range map[string]string{
		pipelineDir:      filepath.Join("..", pipelineDir),
		"manifests.yaml": "../components/keda/testdata/manifests.yaml",
	} {
		absolute, err := filepath.Abs(target)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(absolute, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	kubeconfig(t, filepath.Join(root, embeddedKubeconfig), embeddedContext)
	return root
}

// configOf is a stack file's config as the engine hands it over, every value a
// text, with some keys set otherwise by their dotted paths.
func configOf(t *testing.T, file string, config map[string]string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var stack struct {
		Config map[string]any `json:"config"`
	}
	if err := yaml.Unmarshal(text, &stack); err != nil {
		t.Fatal(err)
	}
	for key, value := range config {
		section, leaf, nested := strings.Cut("caravan:"+key, ".")
		if !nested {
			stack.Config[section] = value
			continue
		}
		fields, _ := stack.Config[section].(map[string]any)
		if fields == nil {
			fields = map[string]any{}
			stack.Config[section] = fields
		}
		fields[leaf] = value
	}
	texts := map[string]string{}
	for key, value := range stack.Config {
		if texts[key], _ = value.(string); texts[key] != "" {
			continue
		}
		encoded, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		texts[key] = string(encoded)
	}
	return texts
}

func TestTheGraphKeepsTheRulesOfTheHouse(t *testing.T) {
	for stackFile, config := range map[string]map[string]string{
		"Pulumi.local.yaml":      {"keda.manifests": kedaManifests},
		"Pulumi.kubeconfig.yaml": nil,
	} {
		t.Run(stackFile, func(t *testing.T) {
			graph, err := run(t, stackFile, config)
			if err != nil {
				t.Fatal(err)
			}
			graph.Invariants(t)
			golden.Check(t, strings.TrimSuffix(stackFile, ".yaml")+".inventory", graph.Inventory())
		})
	}
}

func TestWhatNeedsSomethingFollowsIt(t *testing.T) {
	graph, err := run(t, "Pulumi.local.yaml", map[string]string{"keda.manifests": kedaManifests})
	if err != nil {
		t.Fatal(err)
	}
	namespace := graph.Find(t, "kubernetes:core/v1:Namespace", "cluster-namespace")
	for _, r := range graph.Resources {
		metadata, has := r.Inputs["metadata"]
		if !has || r == namespace {
			continue
		}
		if ns, has := metadata.ObjectValue()["namespace"]; has && ns.StringValue() == "caravan" && !graph.Follows(r, namespace.URN) {
			t.Errorf("%s does not depend on its namespace", r.URN)
		}
	}
	deployment := graph.Find(t, "kubernetes:apps/v1:Deployment", "worker-deployment")
	for _, needed := range []*componenttest.Resource{
		graph.Find(t, "kubernetes:apps/v1:StatefulSet", "queue-server"),
		graph.Find(t, "kubernetes:core/v1:Secret", "queue-auth"),
	} {
		if !graph.Follows(deployment, needed.URN) {
			t.Errorf("the workers do not depend on %s", needed.URN)
		}
	}
	scaled := graph.Find(t, "kubernetes:keda.sh/v1alpha1:ScaledObject", "worker-scaled-object")
	for _, r := range graph.Resources {
		if strings.HasPrefix(r.Name, "keda-") && !graph.Follows(scaled, r.URN) {
			t.Errorf("the ScaledObject does not depend on %s: destroy could wait for an operator that is gone", r.URN)
		}
	}
}

func TestTheStackExportsWhatThePeopleAndTheCommandNeed(t *testing.T) {
	graph, err := run(t, "Pulumi.local.yaml", map[string]string{"keda.manifests": kedaManifests})
	if err != nil {
		t.Fatal(err)
	}
	exports := graph.Exports.Mappable()
	plan, _ := exports["plan"].(string)
	if !strings.Contains(plan, "tiny") {
		t.Errorf("plan = %q, want the plan in words", plan)
	}
	delete(exports, "plan")
	componenttest.GoldenObject(t, "exports.yaml", exports)
}

func TestAFaultyStackIsRefusedBeforeAnythingIsRegistered(t *testing.T) {
	for name, c := range map[string]struct {
		config map[string]string
		want   string
	}{
		"a misspelt key":   {map[string]string{"scaling.maxWorker": "3"}, "scaling.maxWorker"},
		"no such pipeline": {map[string]string{"pipeline": "majors"}, "there is no pipelines/majors.yaml; there are: mayors"},
		"no AWS yet": {map[string]string{"cluster.kind": "eks", "profile": "cpu-small", "scaling.maxWorkers": "0", "nodes.max": "2", "keda.manifests": ""},
			"cluster.kind: eks: creating the cluster on AWS is not in this release"},
	} {
		t.Run(name, func(t *testing.T) {
			graph, err := run(t, "Pulumi.local.yaml", c.config)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
			if len(graph.Resources) > 0 {
				t.Errorf("%d resources were registered", len(graph.Resources))
			}
		})
	}
}

func TestExistingKedaIsUsedAndNotInstalled(t *testing.T) {
	graph, err := run(t, "Pulumi.kubeconfig.yaml", map[string]string{"keda.existing": "true", "keda.namespace": "scalers"})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range graph.Resources {
		if r.Name == "keda" || strings.HasPrefix(r.Name, "keda-") {
			t.Errorf("%s is registered", r.URN)
		}
	}
	graph.Find(t, "kubernetes:keda.sh/v1alpha1:ScaledObject", "worker-scaled-object")
	policy, err := yaml.Marshal(graph.Find(t, "kubernetes:networking.k8s.io/v1:NetworkPolicy", "queue-network").Inputs.Mappable())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(policy), "kubernetes.io/metadata.name: scalers") {
		t.Errorf("KEDA in namespace scalers cannot reach the queue:\n%s", policy)
	}
}

func TestNamespacesAreCreatedByTheProviderThatAdoptsNone(t *testing.T) {
	graph, err := run(t, "Pulumi.kubeconfig.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	creator := graph.Find(t, "pulumi:providers:kubernetes", "cluster-creator")
	for _, r := range graph.Resources {
		if (r.Type == "kubernetes:core/v1:Namespace") != strings.HasPrefix(r.Provider, creator.URN+"::") {
			t.Errorf("%s has the provider %s", r.URN, r.Provider)
		}
	}
}
