// Package manifests renders what is installed into the embedded cluster. The
// manifests of KEDA, metrics-server and the volume provisioner come from the
// very modules that their programs are built from; kustomize fits them to this
// cluster. Cluster DNS, which no module carries, is in coredns.yaml.
package manifests

import (
	"context"
	_ "embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/resid"
	"sigs.k8s.io/yaml"

	"caravan.dev/embedded/images"
	"caravan.dev/embedded/toolchain"
)

//go:embed coredns.yaml
var coreDNS string

// KubeletAccess lets the API server use the kubelets' APIs (logs, exec,
// port-forward) under the name that kubeadm puts into its certificate, and no more.
//
//go:embed kubelet-access.yaml
var KubeletAccess []byte

// Renderer finds modules through the go.mod files of the tools.
type Renderer struct {
	// Tools is the folder embedded/tools of the checkout.
	Tools string
	// VolumeDir is where the provisioner makes volumes.
	VolumeDir string
}

// CoreDNS is the manifest of cluster DNS at a service address.
func (r Renderer) CoreDNS(address, domain string) []byte {
	return []byte(strings.NewReplacer("${ADDRESS}", address, "${DOMAIN}", domain, "${IMAGE}", images.Registry+"coredns:"+toolchain.CoreDNSVersion).Replace(coreDNS))
}

// source is the part of a module that holds its manifests.
type source struct{ tool, module, folder, entry string }

// MetricsServer is the manifest of metrics-server. It trusts the certificates
// that kubelets sign for themselves, as kubeadm's clusters do.
func (r Renderer) MetricsServer(ctx context.Context) ([]byte, error) {
	return r.render(ctx, source{"addons", "sigs.k8s.io/metrics-server", "manifests/base", "."}, types.Kustomization{
		Images: []types.Image{{Name: "gcr.io/k8s-staging-metrics-server/metrics-server", NewName: images.Registry + "metrics-server", NewTag: toolchain.MetricsServerVersion}},
		Patches: []types.Patch{deployment("metrics-server", `
- {op: add, path: /spec/template/spec/containers/0/args/-, value: --kubelet-insecure-tls}
- {op: replace, path: /spec/template/spec/containers/0/readinessProbe/initialDelaySeconds, value: 0}
- {op: replace, path: /spec/template/spec/containers/0/readinessProbe/periodSeconds, value: 2}
- {op: replace, path: /spec/template/spec/containers/0/resources/requests, value: {cpu: 20m, memory: 60Mi}}
`)},
	})
}

// LocalPath is the manifest of the volume provisioner, with its class as the default one.
func (r Renderer) LocalPath(ctx context.Context) ([]byte, error) {
	config := fmt.Sprintf(`{"nodePathMap":[{"node":"DEFAULT_PATH_FOR_NON_LISTED_NODES","paths":[%q]}]}`, r.VolumeDir)
	helper := fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: helper-pod}\nspec:\n  containers: [{name: helper-pod, image: %s, imagePullPolicy: IfNotPresent}]\n", images.Registry+"busybox:debian12")
	patch, err := yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]string{"name": "local-path-config", "namespace": "local-path-storage"},
		"data": map[string]string{"config.json": config, "helperPod.yaml": helper},
	})
	if err != nil {
		return nil, err
	}
	return r.render(ctx, source{"addons", "github.com/rancher/local-path-provisioner", "deploy", "local-path-storage.yaml"}, types.Kustomization{
		Images: []types.Image{{Name: "rancher/local-path-provisioner", NewName: images.Registry + "local-path-provisioner", NewTag: toolchain.LocalPathVersion}},
		Patches: []types.Patch{
			{Patch: string(patch)},
			{Patch: "- {op: add, path: /metadata/annotations, value: {storageclass.kubernetes.io/is-default-class: \"true\"}}",
				Target: &types.Selector{ResId: resid.ResId{Gvk: resid.Gvk{Kind: "StorageClass"}, Name: "local-path"}}},
		},
	})
}

// Keda is the manifest of KEDA, which the Pulumi program installs. Its probes
// wait 20 s and more before they ask for the first time; here they ask at once.
func (r Renderer) Keda(ctx context.Context) ([]byte, error) {
	var renamed []types.Image
	for _, name := range []string{"keda", "keda-metrics-apiserver", "keda-admission-webhooks"} {
		renamed = append(renamed, types.Image{Name: "ghcr.io/kedacore/" + name, NewName: images.Registry + name, NewTag: toolchain.KedaVersion})
	}
	prompt := `
- {op: replace, path: /spec/template/spec/containers/0/readinessProbe/initialDelaySeconds, value: 1}
- {op: add, path: /spec/template/spec/containers/0/readinessProbe/periodSeconds, value: 1}
- {op: replace, path: /spec/template/spec/containers/0/imagePullPolicy, value: IfNotPresent}
- {op: replace, path: /spec/template/spec/containers/0/resources/requests, value: {cpu: 30m, memory: 60Mi}}
`
	return r.render(ctx, source{"keda", "github.com/kedacore/keda/v2", "config", "default"}, types.Kustomization{
		Images:  renamed,
		Patches: []types.Patch{deployment("keda-operator", prompt), deployment("keda-metrics-apiserver", prompt), deployment("keda-admission", prompt)},
	})
}

// deployment patches the deployment of that name.
func deployment(name, patch string) types.Patch {
	return types.Patch{Patch: patch, Target: &types.Selector{ResId: resid.ResId{Gvk: resid.Gvk{Kind: "Deployment"}, Name: name}}}
}

// render copies a module's manifests into memory and applies a kustomization to them.
func (r Renderer) render(ctx context.Context, from source, k types.Kustomization) ([]byte, error) {
	dir, err := toolchain.ModuleDir(ctx, filepath.Join(r.Tools, from.tool), from.module)
	if err != nil {
		return nil, err
	}
	memory := filesys.MakeFsInMemory()
	if err := copyInto(memory, filepath.Join(dir, from.folder), "/module"); err != nil {
		return nil, fmt.Errorf("reading the manifests of %s: %w", from.module, err)
	}
	k.TypeMeta = types.TypeMeta{APIVersion: types.KustomizationVersion, Kind: types.KustomizationKind}
	k.Resources = []string{filepath.Join("../module", from.entry)}
	content, err := yaml.Marshal(k)
	if err != nil {
		return nil, err
	}
	if err := memory.WriteFile("/overlay/kustomization.yaml", content); err != nil {
		return nil, err
	}
	options := krusty.MakeDefaultOptions()
	options.LoadRestrictions = types.LoadRestrictionsNone
	options.Reorder = krusty.ReorderOptionLegacy // namespaces and definitions first
	resources, err := krusty.MakeKustomizer(options).Run(memory, "/overlay")
	if err != nil {
		return nil, fmt.Errorf("rendering the manifests of %s: %w", from.module, err)
	}
	return resources.AsYaml()
}

func copyInto(memory filesys.FileSystem, from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if filepath.Base(path) == "kustomization.yaml" {
			if content, err = modernise(memory, content); err != nil {
				return fmt.Errorf("%s: %w", relative, err)
			}
		}
		return memory.WriteFile(filepath.Join(to, relative), content)
	})
}

// modernise replaces fields that kustomize warns of, as `kustomize edit fix` does.
func modernise(memory filesys.FileSystem, content []byte) ([]byte, error) {
	var k types.Kustomization
	if err := k.Unmarshal(content); err != nil {
		return nil, err
	}
	if err := k.FixKustomizationPreMarshalling(memory); err != nil {
		return nil, err
	}
	return yaml.Marshal(k)
}
