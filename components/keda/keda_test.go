package keda_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"caravan.dev/caravan/components/componenttest"
	"caravan.dev/caravan/components/keda"
)

func install(t *testing.T, args *keda.Args) (*componenttest.Graph, error) {
	t.Helper()
	return componenttest.Run(t, "", func(ctx *pulumi.Context) error {
		provider, err := kubernetes.NewProvider(ctx, "k8s", &kubernetes.ProviderArgs{})
		if err != nil {
			return err
		}
		args.Creator, err = kubernetes.NewProvider(ctx, "creator", &kubernetes.ProviderArgs{})
		if err != nil {
			return err
		}
		_, err = keda.New(ctx, "keda", args, pulumi.Provider(provider))
		return err
	})
}

func TestEachManifestFollowsWhatItNeeds(t *testing.T) {
	graph, err := install(t, &keda.Args{Manifests: "testdata/manifests.yaml", Namespace: "keda"})
	if err != nil {
		t.Fatal(err)
	}
	order := []*componenttest.Resource{
		graph.Find(t, "kubernetes:core/v1:Namespace", "keda-namespace-keda"),
		graph.Find(t, "kubernetes:core/v1:ServiceAccount", "keda-serviceaccount-keda-keda-operator"),
		graph.Find(t, "kubernetes:apps/v1:Deployment", "keda-deployment-keda-keda-operator"),
		graph.Find(t, "kubernetes:apiregistration.k8s.io/v1:APIService", "keda-apiservice-v1beta1.external.metrics.k8s.io"),
	}
	for i := 1; i < len(order); i++ {
		if !graph.Follows(order[i], order[i-1].URN) {
			t.Errorf("%s does not depend on %s", order[i].Name, order[i-1].Name)
		}
	}
	definition := graph.Find(t, "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition", "keda-customresourcedefinition-scaledobjects.keda.sh")
	subresources := definition.Inputs["spec"].ObjectValue()["versions"].ArrayValue()[0].ObjectValue()["subresources"]
	if _, has := subresources.ObjectValue()["status"]; !has {
		t.Error("the definition has lost its status subresource")
	}
	componenttest.OutputsMatch(t, &keda.Keda{}, graph.Find(t, keda.Type, "keda"))
}

func TestTheChartIsOneReleaseInItsNamespace(t *testing.T) {
	graph, err := install(t, &keda.Args{ChartVersion: "2.20.2", Namespace: "keda"})
	if err != nil {
		t.Fatal(err)
	}
	release := graph.Find(t, "kubernetes:helm.sh/v3:Release", "keda")
	namespace := graph.Find(t, "kubernetes:core/v1:Namespace", "keda-namespace")
	if !graph.Follows(release, namespace.URN) {
		t.Error("the release does not depend on its namespace")
	}
	if creator := graph.Find(t, "pulumi:providers:kubernetes", "creator"); !strings.HasPrefix(namespace.Provider, creator.URN+"::") {
		t.Errorf("the namespace's provider is %s, want the creator", namespace.Provider)
	}
	componenttest.GoldenObject(t, "release.yaml", release.Inputs.Mappable())
}

func TestManifestsOfAnotherNamespaceAreRefused(t *testing.T) {
	_, err := install(t, &keda.Args{Manifests: "testdata/manifests.yaml", Namespace: "scalers"})
	want := `installing keda "keda": testdata/manifests.yaml brings no namespace "scalers": set keda.namespace to the one that it brings`
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestMissingManifestsSayWhatToDo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keda.yaml")
	_, err := install(t, &keda.Args{Manifests: path, Namespace: "keda"})
	want := `installing keda "keda": there is no ` + path + ": run `make up`, which writes it, or unset keda.manifests to take the chart"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestWhatIsNoObjectIsRefusedWithItsPlace(t *testing.T) {
	const namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: keda}\n"
	for text, want := range map[string]string{
		"":                             "no Kubernetes object in it",
		"---\n# nothing\n---\n":        "no Kubernetes object in it",
		namespace + "---\nkind: Pod\n": "document 2 is no Kubernetes object: it needs apiVersion, kind and metadata.name",
		"- a\n":                        "document 1: ",
	} {
		_, err := keda.Decode([]byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestWavesKeepEveryObject(t *testing.T) {
	var objects []map[string]any
	for _, kind := range []string{"APIService", "Deployment", "Role", "Namespace", "ValidatingWebhookConfiguration", "Service", "CustomResourceDefinition"} {
		objects = append(objects, map[string]any{"kind": kind})
	}
	var kinds []string
	for _, wave := range keda.Waves(objects) {
		var names []string
		for _, obj := range wave {
			names = append(names, obj["kind"].(string))
		}
		slices.Sort(names)
		kinds = append(kinds, strings.Join(names, "+"))
	}
	want := "CustomResourceDefinition+Namespace, Role, Deployment+Service, APIService+ValidatingWebhookConfiguration"
	if got := strings.Join(kinds, ", "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
