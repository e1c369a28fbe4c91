package cluster_test

import (
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

func TestTheCurrentContextIsTheDefault(t *testing.T) {
	for _, context := range []string{"", "kind-caravan"} {
		graph, err := componenttest.Run(t, "", func(ctx *pulumi.Context) error {
			_, err := cluster.New(ctx, "cluster", &cluster.Args{Kubeconfig: "/k", Context: context, Namespace: "caravan"})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		provider := graph.Find(t, "pulumi:providers:kubernetes", "cluster")
		got := ""
		if v, has := provider.Inputs["context"]; has {
			got = v.StringValue()
		}
		if got != context {
			t.Errorf("the provider's context is %q, want %q", got, context)
		}
		graph.Invariants(t)
		componenttest.OutputsMatch(t, &cluster.Cluster{}, graph.Find(t, cluster.Type, "cluster"))
	}
}

func TestTheGroundRulesFollowTheNamespace(t *testing.T) {
	graph, err := componenttest.Run(t, "", func(ctx *pulumi.Context) error {
		_, err := cluster.New(ctx, "cluster", &cluster.Args{Kubeconfig: "/k", Namespace: "caravan"})
		return err
	})
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
