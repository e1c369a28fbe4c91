package cluster_test

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"caravan.dev/caravan/components/cluster"
	"caravan.dev/caravan/components/componenttest"
)

func TestNamespaceGolden(t *testing.T) {
	componenttest.GoldenObject(t, "namespace.yaml", cluster.Namespace("caravan"))
	componenttest.GoldenObject(t, "default-deny.yaml", cluster.DefaultDeny("caravan"))
	componenttest.GoldenObject(t, "allow-dns.yaml", cluster.AllowDNS("caravan"))
}

// reach is what a cluster registers that is reached through this context.
func reach(t *testing.T, context string) (*componenttest.Graph, error) {
	t.Helper()
	return register(t, &cluster.Args{Kubeconfig: pulumi.String("/k"), Context: context, Namespace: "caravan"})
}

func register(t *testing.T, args *cluster.Args) (*componenttest.Graph, error) {
	t.Helper()
	return componenttest.Run(t, "", func(ctx *pulumi.Context) error {
		_, err := cluster.New(ctx, "cluster", args)
		return err
	})
}

func TestBothProvidersAreBoundToTheContext(t *testing.T) {
	graph, err := reach(t, "kind-caravan")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cluster", "cluster-creator"} {
		inputs := graph.Find(t, "pulumi:providers:kubernetes", name).Inputs.Mappable()
		if inputs["context"] != "kind-caravan" || inputs["kubeconfig"] != "/k" {
			t.Errorf("provider %s has %v", name, inputs)
		}
	}
	graph.Invariants(t)
	componenttest.OutputsMatch(t, &cluster.Cluster{}, graph.Find(t, cluster.Type, "cluster"))
}

func TestTheCurrentContextIsNoDefault(t *testing.T) {
	if _, err := reach(t, ""); err == nil || !strings.Contains(err.Error(), `reaching cluster "cluster": no context is named`) {
		t.Errorf("got %v", err)
	}
}

func TestTheNamespaceIsCreatedWithoutApply(t *testing.T) {
	graph, err := reach(t, "kind-caravan")
	if err != nil {
		t.Fatal(err)
	}
	creator := graph.Find(t, "pulumi:providers:kubernetes", "cluster-creator")
	if apply := creator.Inputs["enableServerSideApply"].Mappable(); apply != false {
		t.Errorf("the creator applies (%v): it would take over a namespace that exists", apply)
	}
	namespace := graph.Find(t, "kubernetes:core/v1:Namespace", "cluster-namespace")
	if !strings.HasPrefix(namespace.Provider, creator.URN+"::") {
		t.Errorf("the namespace's provider is %s, want the creator", namespace.Provider)
	}
}

func TestWhatAnInterruptedUpdateMadeInAClusterOfOnesOwnIsTakenUpAgain(t *testing.T) {
	graph, err := register(t, &cluster.Args{Kubeconfig: pulumi.String("/k"), Context: "own", Namespace: "caravan", Own: true})
	if err != nil {
		t.Fatal(err)
	}
	creator := graph.Find(t, "pulumi:providers:kubernetes", "cluster-creator")
	if apply := creator.Inputs["enableServerSideApply"].Mappable(); apply != true {
		t.Errorf("the creator does not apply (%v): it would refuse the namespace that is there", apply)
	}
}

func TestTheGroundRulesFollowTheNamespace(t *testing.T) {
	graph, err := reach(t, "kind-caravan")
	if err != nil {
		t.Fatal(err)
	}
	namespace := graph.Find(t, "kubernetes:core/v1:Namespace", "cluster-namespace")
	for _, name := range []string{"cluster-default-deny", "cluster-allow-dns"} {
		if !graph.Follows(graph.Find(t, "kubernetes:networking.k8s.io/v1:NetworkPolicy", name), namespace.URN) {
			t.Errorf("%s does not depend on the namespace", name)
		}
	}
}
