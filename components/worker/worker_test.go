package worker_test

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	corev1 "k8s.io/api/core/v1"

	"caravan.dev/caravan/components/componenttest"
	"caravan.dev/caravan/components/queue"
	"caravan.dev/caravan/components/worker"
	"caravan.dev/caravan/stacks"
)

// argsOf are a worker's Args in a small stack with some keys set otherwise.
func argsOf(t *testing.T, config map[string]string) *worker.Args {
	t.Helper()
	plan := componenttest.Plan(t, config)
	endpoint, err := queue.NewEndpoint(plan.Queue)
	if err != nil {
		t.Fatal(err)
	}
	return &worker.Args{
		Namespace: plan.Namespace, Plan: plan.Worker, Scaling: plan.Scaling, Timing: plan.Timing, Images: plan.Images,
		Pipeline: "input: {}\n", Queue: endpoint,
	}
}

// embedded is the stack whose model lies in the image.
var embedded = map[string]string{"cluster.kind": "embedded", "profile": "tiny", "keda.manifests": "keda.yaml"}

func TestDeploymentGolden(t *testing.T) {
	componenttest.GoldenObject(t, "deployment-pulled.yaml", worker.Deployment(argsOf(t, nil)))
	componenttest.GoldenObject(t, "deployment-in-image.yaml", worker.Deployment(argsOf(t, embedded)))
}

func TestNetworkPolicyGolden(t *testing.T) {
	componenttest.GoldenObject(t, "network-pulled.yaml", worker.NetworkPolicy(argsOf(t, nil)))
	componenttest.GoldenObject(t, "network-in-image.yaml", worker.NetworkPolicy(argsOf(t, embedded)))
}

func TestScalingGolden(t *testing.T) {
	componenttest.GoldenObject(t, "trigger-authentication.yaml", worker.TriggerAuthenticationFor(argsOf(t, nil)))
	for name, config := range map[string]map[string]string{
		"scaled-object-stream.yaml": nil,
		"scaled-object-list.yaml":   {"queue.mode": "list", "scaling.signal": "list"},
	} {
		scaled, err := worker.ScaledObjectFor(argsOf(t, config))
		if err != nil {
			t.Fatal(err)
		}
		componenttest.GoldenObject(t, name, scaled)
	}
}

func TestAnUnknownSignalIsRefused(t *testing.T) {
	args := argsOf(t, nil)
	args.Scaling.Signal = stacks.Signal("lunar")
	_, err := worker.ScaledObjectFor(args)
	if err == nil || err.Error() != `no trigger for signal "lunar"` {
		t.Errorf("got %v", err)
	}
}

func TestAnUnknownTopologyIsRefused(t *testing.T) {
	graph, err := componenttest.Run(t, "", func(ctx *pulumi.Context) error {
		args := argsOf(t, nil)
		args.Plan.Topology = stacks.Topology("lunar")
		_, err := worker.New(ctx, "worker", args)
		return err
	})
	if err == nil || !strings.Contains(err.Error(), `creating worker "worker": no way to build topology "lunar"`) {
		t.Errorf("got %v", err)
	}
	if len(graph.Resources) != 1 { // the component itself
		t.Errorf("%d resources were registered", len(graph.Resources))
	}
}

func TestTheDeploymentLeavesItsReplicasToTheScaler(t *testing.T) {
	if replicas := worker.Deployment(argsOf(t, nil)).Spec.Replicas; replicas != nil {
		t.Errorf("replicas = %d, want none", *replicas)
	}
}

func TestOllamaThenHAProxyOutliveBento(t *testing.T) {
	spec := worker.PodSpec(argsOf(t, nil))
	var order []string
	for _, c := range spec.InitContainers {
		kind := "once"
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			kind = "sidecar"
		}
		order = append(order, c.Name+" "+kind)
	}
	if got, want := strings.Join(order, ", "), "ollama sidecar, model once, haproxy sidecar"; got != want {
		t.Errorf("init containers: %s, want %s", got, want)
	}
	if len(spec.Containers) != 1 || spec.Containers[0].Name != "bento" {
		t.Error("want Bento as the only main container: it alone decides when a pod has ended")
	}
}

func TestEveryContainerIsBoundedAndConfined(t *testing.T) {
	spec := worker.PodSpec(argsOf(t, nil))
	for _, c := range append(spec.InitContainers, spec.Containers...) {
		for _, resource := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			if amount := c.Resources.Requests[resource]; amount.IsZero() {
				t.Errorf("%s requests no %s", c.Name, resource)
			}
		}
		if s := c.SecurityContext; s == nil || !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation {
			t.Errorf("%s is not confined: %+v", c.Name, s)
		}
	}
	if !*spec.SecurityContext.RunAsNonRoot || *spec.SecurityContext.RunAsUser == 0 {
		t.Error("the pod may run as root")
	}
}

func TestAChangedTextRollsThePods(t *testing.T) {
	one, two := argsOf(t, nil), argsOf(t, nil)
	two.Pipeline += "# changed\n"
	if worker.Configs(one).Bento.Name == worker.Configs(two).Bento.Name {
		t.Error("another pipeline has a ConfigMap of the same name")
	}
	three := argsOf(t, nil)
	three.Plan.Slots++
	if worker.Configs(one).HAProxy.Name == worker.Configs(three).HAProxy.Name {
		t.Error("another number of slots has a ConfigMap of the same name")
	}
}

func TestTheScaledObjectIsDeletedWhileKedaAndTheWorkersExist(t *testing.T) {
	graph, err := componenttest.Run(t, "", func(ctx *pulumi.Context) error {
		provider, err := kubernetes.NewProvider(ctx, "k8s", &kubernetes.ProviderArgs{})
		if err != nil {
			return err
		}
		args := argsOf(t, nil)
		args.Scaler = []pulumi.Resource{provider} // anything will do
		_, err = worker.New(ctx, "worker", args, pulumi.Provider(provider))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	scaled := graph.Find(t, "kubernetes:keda.sh/v1alpha1:ScaledObject", "worker-scaled-object")
	for _, before := range []*componenttest.Resource{
		graph.Find(t, "pulumi:providers:kubernetes", "k8s"),
		graph.Find(t, "kubernetes:apps/v1:Deployment", "worker-deployment"),
		graph.Find(t, "kubernetes:keda.sh/v1alpha1:TriggerAuthentication", "worker-trigger-authentication"),
	} {
		if !graph.Follows(scaled, before.URN) {
			t.Errorf("the ScaledObject does not depend on %s", before.URN)
		}
	}
	componenttest.OutputsMatch(t, &worker.Worker{}, graph.Find(t, worker.Type, "worker"))
}
