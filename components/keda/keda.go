// Package keda installs KEDA, which turns the backlog into a number of workers:
// from the Helm chart where charts can be fetched, or from a file of rendered
// manifests where the cluster was built on the spot.
package keda

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Type is the Pulumi type of the component.
const Type = "caravan:components:Keda"

// Args choose the way KEDA is installed.
type Args struct {
	// Manifests is the path of a file of rendered manifests; empty means the chart.
	Manifests string
	// ChartVersion of the chart, used without Manifests.
	ChartVersion string
	// Namespace that KEDA runs in. Rendered manifests bring it themselves.
	Namespace string
	// Creator creates the chart's namespace, and refuses one that exists.
	Creator pulumi.ProviderResource
}

// Keda is an installed KEDA.
type Keda struct {
	pulumi.ResourceState

	// Namespace that KEDA runs in.
	Namespace pulumi.StringOutput `pulumi:"namespace"`

	// Ready are the resources that a ScaledObject has to depend on. It is then
	// created after KEDA's definitions and operator, and deleted before them:
	// an operator that is gone would never take its finalizer off.
	Ready []pulumi.Resource
}

// New installs KEDA. It fails when Args.Manifests is a file that does not exist,
// holds something else than Kubernetes objects, or does not bring Args.Namespace.
func New(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Keda, error) {
	k := &Keda{}
	if err := ctx.RegisterComponentResource(Type, name, k, opts...); err != nil {
		return nil, fmt.Errorf("registering keda %q: %w", name, err)
	}
	install := k.fromChart
	if args.Manifests != "" {
		install = k.fromManifests
	}
	if err := install(ctx, name, args); err != nil {
		return nil, fmt.Errorf("installing keda %q: %w", name, err)
	}
	k.Namespace = pulumi.String(args.Namespace).ToStringOutput()
	if err := ctx.RegisterResourceOutputs(k, pulumi.Map{"namespace": k.Namespace}); err != nil {
		return nil, fmt.Errorf("registering the outputs of keda %q: %w", name, err)
	}
	return k, nil
}
