package toolchain

import (
	"fmt"
	"os"
	"path/filepath"
)

// Versions that more than one place needs: the linker flags, image tags and
// docs. Each equals the pin in the tool's own go.mod (a test compares them).
const (
	KubernetesVersion         = "1.35.4"
	KedaVersion               = "2.20.2"
	BentoVersion              = "1.20.0"
	OllamaVersion             = "0.17.4"
	PulumiVersion             = "3.246.0"
	PulumiKubernetesVersion   = "4.27.0"
	PulumiRandomVersion       = "4.19.0"
	CoreDNSVersion            = "1.14.7"
	MetricsServerVersion      = "0.9.0"
	LocalPathVersion          = "0.0.30"
	providerModule            = "github.com/pulumi/pulumi-kubernetes/provider/v4"
	kubernetesModule          = "k8s.io/kubernetes"
	miniaudioModule           = "github.com/gen2brain/malgo"
	kubernetesVersionVariable = "k8s.io/component-base/version."
)

// A Group says what a tool is built for, so that nothing is built before it is needed.
type Group string

// The groups.
const (
	// Deploy is what bringing up a stack needs, on any cluster.
	Deploy Group = "deploy"
	// Run is what the embedded cluster needs besides, and the providers that the
	// Pulumi CLI would otherwise download.
	Run Group = "run"
	// Check is what `make test` needs besides.
	Check Group = "check"
)

// Tool is a set of programs that are built from one Go module of embedded/tools.
type Tool struct {
	// Name names the tool, and the module's folder unless Module does.
	Name    string
	Module  string
	Version string
	Group   Group
	// Programs are linked one after the other; they share the module's compiled packages.
	Programs []Program
	// Cgo is needed by Ollama alone; everything else is static.
	Cgo bool
	// Prepare returns additions to the build, such as headers; nil for most.
	Prepare func(b *build) error
	// Finish makes what is not a Go program (a model, a C program) beside the binaries; nil for most.
	Finish func(b *build) error
}

// Program is one binary.
type Program struct {
	// File is the binary's name, Package what is built.
	File, Package string
	// Links are further names under which the binary is called.
	Links []string
	// LDFlags are added to -s -w.
	LDFlags string
}

// Tools are all tools, in the order in which sharing of compiled packages saves most.
func Tools() []Tool {
	return []Tool{
		{Name: "kube", Version: KubernetesVersion, Group: Run, Finish: buildPause, Programs: []Program{{
			File: "kube", Package: ".",
			Links:   []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl", "kubeadm"},
			LDFlags: kubernetesLDFlags(),
		}}},
		{Name: "addons", Version: CoreDNSVersion, Group: Run, Programs: []Program{
			{File: "coredns", Package: "./coredns"},
			{File: "metrics-server", Package: "sigs.k8s.io/metrics-server/cmd/metrics-server"},
			{File: "local-path-provisioner", Package: "github.com/rancher/local-path-provisioner"},
		}},
		{Name: "keda", Version: KedaVersion, Group: Run, Programs: []Program{
			{File: "keda", Package: "github.com/kedacore/keda/v2/cmd/operator"},
			{File: "keda-adapter", Package: "github.com/kedacore/keda/v2/cmd/adapter"},
			{File: "keda-admission-webhooks", Package: "github.com/kedacore/keda/v2/cmd/webhooks"},
		}},
		{Name: "bento", Version: BentoVersion, Group: Deploy, Programs: []Program{{File: "bento", Package: "."}}},
		{Name: "ollama", Version: OllamaVersion, Group: Run, Cgo: true, Prepare: ollamaHeaders, Finish: makeTinyModel, Programs: []Program{
			{File: "ollama", Package: "github.com/ollama/ollama", LDFlags: "-X github.com/ollama/ollama/version.Version=" + OllamaVersion},
			{File: "tinymodel", Package: "./tinymodel"},
		}},
		{Name: "pulumi", Version: PulumiVersion, Group: Deploy, Programs: []Program{
			{File: "pulumi", Package: "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
				LDFlags: "-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v" + PulumiVersion},
		}},
		{Name: "pulumi-resource-kubernetes", Module: "pulumi", Version: PulumiKubernetesVersion, Group: Run, Prepare: providerSchema, Programs: []Program{
			{File: "pulumi-resource-kubernetes", Package: "./pulumi-resource-kubernetes", LDFlags: "-X main.version=" + PulumiKubernetesVersion},
		}},
		{Name: "pulumi-language-go", Version: PulumiVersion, Group: Deploy, Programs: []Program{
			{File: "pulumi-language-go", Package: "github.com/pulumi/pulumi/sdk/go/pulumi-language-go/v3"},
		}},
		{Name: "pulumi-resource-random", Version: PulumiRandomVersion, Group: Run, Programs: []Program{
			{File: "pulumi-resource-random", Package: ".", LDFlags: "-X main.version=" + PulumiRandomVersion},
		}},
		{Name: "checks", Version: "2.15.0", Group: Check, Programs: []Program{
			{File: "golangci-lint", Package: "github.com/golangci/golangci-lint/v2/cmd/golangci-lint"},
			{File: "gotestsum", Package: "gotest.tools/gotestsum"},
		}},
	}
}

// folder is the module's folder in embedded/tools.
func (t Tool) folder() string {
	if t.Module != "" {
		return t.Module
	}
	return t.Name
}

// kubernetesLDFlags gives the components the version that clients parse; built
// without it they call themselves v0.0.0 and clients choke.
func kubernetesLDFlags() string {
	return fmt.Sprintf("-X %[1]sgitVersion=v%[2]s -X %[1]sgitMajor=1 -X %[1]sgitMinor=35", kubernetesVersionVariable, KubernetesVersion)
}

// ollamaHeaders puts three single-header libraries where Ollama's C++ code looks
// for them: its module leaves out the folder that vendors them. Two come from
// Debian packages, one from a Go module that carries it.
func ollamaHeaders(b *build) error {
	malgo, err := b.moduleDir(miniaudioModule)
	if err != nil {
		return err
	}
	include := filepath.Join(b.scratch, "include")
	for name, target := range map[string]string{
		"nlohmann":  "/usr/include/nlohmann",
		"stb":       "/usr/include/stb",
		"miniaudio": malgo,
	} {
		if err := os.MkdirAll(include, 0o755); err != nil {
			return err
		}
		if err := os.Symlink(target, filepath.Join(include, name)); err != nil && !os.IsExist(err) {
			return err
		}
	}
	b.env = append(b.env, "CGO_CXXFLAGS=-O2 -I"+include, "CGO_CFLAGS=-O2")
	return nil
}

// providerSchema lays the two documents that the Kubernetes provider embeds over
// its main package; they lie in the provider's module, the schema without its version.
func providerSchema(b *build) error {
	dir, err := b.moduleDir(providerModule)
	if err != nil {
		return err
	}
	from := filepath.Join(dir, "cmd", "pulumi-resource-kubernetes")
	schema, err := os.ReadFile(filepath.Join(from, "schema.json"))
	if err != nil {
		return fmt.Errorf("reading the provider's schema: %w", err)
	}
	schema, err = withVersion(schema, PulumiKubernetesVersion)
	if err != nil {
		return err
	}
	if err := b.overlay("pulumi-resource-kubernetes/schema.json", schema); err != nil {
		return err
	}
	mapping, err := os.ReadFile(filepath.Join(from, "terraform-mapping.json"))
	if err != nil {
		return fmt.Errorf("reading the provider's mapping: %w", err)
	}
	return b.overlay("pulumi-resource-kubernetes/terraform-mapping.json", mapping)
}

// buildPause compiles the pause program (it holds a pod's namespaces and reaps
// its orphans) from its C source in the Kubernetes module.
func buildPause(b *build) error {
	dir, err := b.moduleDir(kubernetesModule)
	if err != nil {
		return err
	}
	source := filepath.Join(dir, "build", "pause", "linux", "pause.c")
	return b.command("gcc", "-Os", "-Wall", "-static", "-DVERSION="+KubernetesVersion, "-o", filepath.Join(b.out, "pause"), source)
}

// makeTinyModel writes the model of the profile `tiny` (random weights: it
// speaks gibberish, but takes the true path) into a store that the Ollama image carries.
func makeTinyModel(b *build) error {
	return b.command(filepath.Join(b.out, "tinymodel"),
		"--ollama", filepath.Join(b.out, "ollama"), "--store", filepath.Join(b.out, "models"), "--name", TinyModel)
}

// TinyModel is the name of the model that needs no download.
const TinyModel = "caravan-tiny"
