package toolchain

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const source = "../tools"

// pins are the modules whose versions this package repeats, and where they are pinned.
var pins = []struct{ tool, module, version string }{
	{"kube", "k8s.io/kubernetes", KubernetesVersion},
	{"keda", "github.com/kedacore/keda/v2", KedaVersion},
	{"bento", "github.com/warpstreamlabs/bento", BentoVersion},
	{"ollama", "github.com/ollama/ollama", OllamaVersion},
	{"pulumi", "github.com/pulumi/pulumi/pkg/v3", PulumiVersion},
	{"pulumi", "github.com/pulumi/pulumi-kubernetes/sdk/v4", PulumiKubernetesVersion},
	{"../..", "github.com/pulumi/pulumi-kubernetes/sdk/v4", PulumiKubernetesVersion},
	{"../..", "github.com/pulumi/pulumi-random/sdk/v4", PulumiRandomVersion},
	{"addons", "github.com/coredns/coredns", CoreDNSVersion},
	{"addons", "sigs.k8s.io/metrics-server", MetricsServerVersion},
	{"addons", "github.com/rancher/local-path-provisioner", LocalPathVersion},
}

func TestVersionsEqualThePinsOfTheModules(t *testing.T) {
	for _, pin := range pins {
		content, err := os.ReadFile(filepath.Join(source, pin.tool, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		want := regexp.MustCompile(regexp.QuoteMeta(pin.module) + ` v` + regexp.QuoteMeta(pin.version) + `\b`)
		if !want.Match(content) {
			t.Errorf("%s/go.mod does not pin %s v%s", pin.tool, pin.module, pin.version)
		}
	}
}

func TestEveryToolModuleIsBuilt(t *testing.T) {
	modules, err := filepath.Glob(filepath.Join(source, "*", "go.mod"))
	if err != nil || len(modules) == 0 {
		t.Fatalf("no tool modules in %s: %v", source, err)
	}
	known := map[string]bool{}
	for _, tool := range Tools() {
		known[tool.folder()] = true
	}
	for _, module := range modules {
		if name := filepath.Base(filepath.Dir(module)); !known[name] {
			t.Errorf("%s is a tool module that nothing builds", name)
		}
	}
}

func TestAToolIsBuiltAnewWhenItsModuleChanges(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "bento"), 0o755); err != nil {
		t.Fatal(err)
	}
	b := &Builder{Source: dir, Cache: t.TempDir()}
	tool := Tool{Name: "bento", Version: "1"}
	var paths []string
	for _, content := range []string{"one", "one", "two"} {
		if err := os.WriteFile(filepath.Join(dir, "bento", "go.mod"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		path, err := b.path(tool)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	if paths[0] != paths[1] || paths[1] == paths[2] {
		t.Errorf("paths for the same, the same and another module: %q", paths)
	}
}

func TestTheProvidersSchemaGetsItsVersion(t *testing.T) {
	schema, err := withVersion([]byte(`{"name":"kubernetes","types":{"a":{"b":1}}}`), "4.27.0")
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Name, Version string
		Types         map[string]map[string]int
	}
	if err := json.Unmarshal(schema, &got); err != nil {
		t.Fatal(err)
	}
	if got.Name != "kubernetes" || got.Version != "4.27.0" || got.Types["a"]["b"] != 1 {
		t.Errorf("schema is %s", schema)
	}
}

func TestAFailedBuildShowsTheEndOfItsOutput(t *testing.T) {
	lines := strings.Repeat("noise\n", 100) + "the cause\n"
	got := string(tail([]byte(lines), 2))
	if got != "noise\nthe cause" {
		t.Errorf("tail is %q", got)
	}
}
