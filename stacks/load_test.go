package stacks

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"caravan.dev/caravan/internal/golden"
)

// project is the part of Pulumi.yaml that declares config keys.
type project struct {
	Name   string
	Main   string
	Config map[string]struct {
		Description, Type string
		Items             *struct{ Type string }
		Default           any
	}
}

func readYAML(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// passed is a YAML value as Pulumi passes it to a program.
func passed(t *testing.T, value any) string {
	t.Helper()
	if text, ok := value.(string); ok {
		return text
	}
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// stackConfig is the config that Pulumi passes for a stack file of the
// repository: the project's defaults, by path, under the stack's values.
func stackConfig(t *testing.T, stack string) map[string]string {
	t.Helper()
	var p project
	readYAML(t, "Pulumi.yaml", &p)
	var file struct{ Config map[string]any }
	readYAML(t, "Pulumi."+stack+".yaml", &file)

	groups := map[string]map[string]any{}
	config := map[string]string{}
	for name, key := range p.Config {
		group, member, inGroup := strings.Cut(name, ".")
		if !inGroup {
			config[p.Name+":"+name] = passed(t, key.Default)
			continue
		}
		if groups[group] == nil {
			groups[group] = map[string]any{}
		}
		groups[group][member] = key.Default
	}
	for full, value := range file.Config {
		members, isGroup := value.(map[string]any)
		if !isGroup {
			config[full] = passed(t, value)
			continue
		}
		maps.Copy(groups[strings.TrimPrefix(full, p.Name+":")], members)
	}
	for group, members := range groups {
		config[p.Name+":"+group] = passed(t, members)
	}
	return config
}

func TestPulumiYAMLDeclaresTheKeys(t *testing.T) {
	var p project
	readYAML(t, "Pulumi.yaml", &p)
	if p.Name != Project {
		t.Errorf("project is named %q, want %q", p.Name, Project)
	}
	declared := map[string]Key{}
	for name, c := range p.Config {
		k := Key{Name: name, Type: KeyType(c.Type), Description: c.Description, Default: passed(t, c.Default)}
		if (k.Type == List) != (c.Items != nil && c.Items.Type == string(String)) {
			t.Errorf("%s: an array, and nothing else, needs items of type string", name)
		}
		declared[name] = k
	}
	want := map[string]Key{}
	for _, k := range Keys() {
		want[k.Name] = k
	}
	if diff := cmp.Diff(want, declared); diff != "" {
		t.Errorf("stacks/keys.go (-) and Pulumi.yaml (+) differ:\n%s", diff)
	}
}

func TestEachStackOfTheRepositoryDerives(t *testing.T) {
	for _, stack := range []string{"local", "kubeconfig", "dev", "gpu"} {
		t.Run(stack, func(t *testing.T) {
			plan, err := Load(stack, stackConfig(t, stack))
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, stack+".txt", plan.Describe())
			text, err := yaml.Marshal(plan)
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, stack+".yaml", string(text))
		})
	}
}

func TestTheLocalStackWantsAllItsWorkersForAThousandMessages(t *testing.T) {
	plan, err := Load("local", stackConfig(t, "local"))
	if err != nil {
		t.Fatal(err)
	}
	wanted := (1000 + plan.Scaling.MessagesPerWorker - 1) / plan.Scaling.MessagesPerWorker
	if plan.Scaling.MaxWorkers != 4 || wanted < plan.Scaling.MaxWorkers {
		t.Errorf("1000 messages want %d workers of %d", wanted, plan.Scaling.MaxWorkers)
	}
	cpu, memory := plan.Queue.Resources.Requests.Cpu().DeepCopy(), plan.Queue.Resources.Requests.Memory().DeepCopy()
	for range plan.Scaling.MaxWorkers {
		for _, r := range []corev1.ResourceRequirements{plan.Worker.Ollama, plan.Worker.HAProxy, plan.Worker.Bento} {
			cpu.Add(*r.Requests.Cpu())
			memory.Add(*r.Requests.Memory())
		}
	}
	if cpu.Cmp(milliCPU(1000)) > 0 || memory.Cmp(mebibytes(2048)) > 0 {
		t.Errorf("queue and workers request %s cpu and %s, more than half of a small machine", cpu.String(), memory.String())
	}
}

func TestKeysOfOtherNamespacesAreIgnored(t *testing.T) {
	config := eks(map[string]string{})
	config["aws:region"] = "eu-central-1"
	config["pulumi:disable-default-providers"] = `["*"]`
	if _, err := Load("gpu", config); err != nil {
		t.Error(err)
	}
}

func TestKeysThatAreNotSetHaveTheirDefaults(t *testing.T) {
	bare := eks(map[string]string{})
	full := maps.Clone(bare)
	for _, k := range Keys() {
		if _, set := full[Project+":"+k.Name]; !set {
			full[Project+":"+k.Name] = k.Default
		}
	}
	a, errA := Load("gpu", bare)
	b, errB := Load("gpu", full)
	if diff := cmp.Diff(a, b); errA != nil || errB != nil || diff != "" {
		t.Errorf("%v, %v\n%s", errA, errB, diff)
	}
}

func TestKeysMayBeSetInTheirGroupOrApart(t *testing.T) {
	apart := eks(map[string]string{keyMaxWorkers: "1", keyPerMessage: "0.5", keyInstanceTypes: `["g6.xlarge"]`, keyNodesSpot: "true"})
	grouped := map[string]string{
		"caravan:profile": "gpu-l4",
		"caravan:cluster": `{"kind":"eks"}`,
		"caravan:nodes":   `{"max":2,"spot":true}`,
		"caravan:scaling": `{"maxWorkers":1}`,
		"caravan:worker":  `{"secondsPerMessage":0.5,"instanceTypes":["g6.xlarge"]}`,
	}
	a, errA := Load("gpu", apart)
	b, errB := Load("gpu", grouped)
	if diff := cmp.Diff(a, b); errA != nil || errB != nil || diff != "" {
		t.Errorf("%v, %v\n%s", errA, errB, diff)
	}
	apart["caravan:scaling"] = `{"maxWorkers":0,"minWorkers":0}`
	c, err := Load("gpu", apart)
	if diff := cmp.Diff(a, c); err != nil || diff != "" {
		t.Errorf("a default in the group hides what is set apart: %v\n%s", err, diff)
	}
}

// eks is the config of a small EKS stack with some keys set.
func eks(set map[string]string) map[string]string {
	return with(map[string]string{keyClusterKind: "eks", keyProfile: "gpu-l4", keyNodesMax: "2"}, set)
}

// local is the config of a small embedded stack with some keys set.
func local(set map[string]string) map[string]string {
	return with(map[string]string{
		keyClusterKind: "embedded", keyProfile: "tiny", keyKedaManifests: "keda.yaml", keyMaxWorkers: "4",
	}, set)
}

func with(base, set map[string]string) map[string]string {
	config := map[string]string{}
	maps.Copy(base, set)
	for name, value := range base {
		config[Project+":"+name] = value
	}
	return config
}

func TestABadConfigIsRefused(t *testing.T) {
	for _, c := range badConfigs {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load("some", c.config)
			var faults Faults
			if !errors.As(err, &faults) {
				t.Fatalf("got %v, want faults", err)
			}
			if len(faults) != 1 || faults[0].String() != c.want {
				t.Errorf("got\n%v\nwant\n%s", err, c.want)
			}
		})
	}
}

func TestAllFaultsAreReportedAtOnceInTheOrderOfKeys(t *testing.T) {
	_, err := Load("dev", eks(map[string]string{
		"nodes.mx":         "4",
		keyMaxWorkers:      "1",
		keyMinWorkers:      "2",
		keyDrainWithin:     "soon",
		keySlots:           "many",
		keyPerNode:         "3",
		keyQueueStorage:    "1Gi",
		keyGrace:           "30s",
		keyNodesMin:        "5",
		keyClusterContext:  "kind",
		"aaa":              "s3cret",
		keyTopology:        "shared",
		keyMaxPerMessage:   "4",
		keyPollingInterval: "500ms",
	}))
	if err == nil {
		t.Fatal("no fault was found")
	}
	golden.Check(t, "faults.txt", err.Error()+"\n")
}
