// Package cluster reaches a cluster that exists and prepares the application's
// namespace in it: Pod Security, and network policies that forbid what no other
// component allows.
package cluster

import (
	"errors"
	"fmt"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"caravan.dev/caravan/components/internal/object"
)

// Type is the Pulumi type of the component.
const Type = "caravan:components:Cluster"

// Args say which cluster, and which namespace in it.
type Args struct {
	// Kubeconfig is the path of a kubeconfig file, or its content.
	Kubeconfig pulumi.StringInput
	// Context is a context of it. It is never the current one by default: what is
	// current may be another when the stack is updated or destroyed.
	Context string
	// Namespace is created for the application, and deleted with the stack. One that
	// exists is refused, unless Own.
	Namespace string
	// Own is a cluster that is the stack's alone. What exists there is of an update
	// that was interrupted, and is taken up again.
	Own bool
}

// Cluster is an existing cluster with the application's namespace in it.
type Cluster struct {
	pulumi.ResourceState

	// Namespace holds the queue and the workers.
	Namespace pulumi.StringOutput `pulumi:"namespace"`
	// Context is the kubeconfig context.
	Context pulumi.StringOutput `pulumi:"context"`

	// Provider reaches the cluster. Every Kubernetes object uses it; there is no default one.
	Provider *kubernetes.Provider
	// Creator reaches it too, for namespaces: it refuses to create what exists already, unless Args.Own.
	Creator *kubernetes.Provider
	// Ready are the resources that must exist before anything is put into the namespace.
	Ready []pulumi.Resource
}

// New registers the cluster's provider, the namespace and its ground rules.
func New(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Cluster, error) {
	c := &Cluster{}
	if err := ctx.RegisterComponentResource(Type, name, c, opts...); err != nil {
		return nil, fmt.Errorf("registering cluster %q: %w", name, err)
	}
	if err := c.reach(ctx, name, args); err != nil {
		return nil, fmt.Errorf("reaching cluster %q: %w", name, err)
	}
	if err := c.prepare(ctx, name, args.Namespace); err != nil {
		return nil, fmt.Errorf("preparing namespace %q: %w", args.Namespace, err)
	}
	c.Namespace = pulumi.String(args.Namespace).ToStringOutput()
	c.Context = pulumi.String(args.Context).ToStringOutput()
	err := ctx.RegisterResourceOutputs(c, pulumi.Map{"namespace": c.Namespace, "context": c.Context})
	if err != nil {
		return nil, fmt.Errorf("registering the outputs of cluster %q: %w", name, err)
	}
	return c, nil
}

// reach makes the providers. Server-side apply leaves fields that others own
// alone, above all the replica count that the scaler sets. But it takes over an
// object that exists, and a namespace that was taken over would be deleted with
// all that others keep in it: the creator does without.
func (c *Cluster) reach(ctx *pulumi.Context, name string, args *Args) (err error) {
	if args.Context == "" {
		return errors.New("no context is named")
	}
	provider := func(name string, apply bool) (*kubernetes.Provider, error) {
		return kubernetes.NewProvider(ctx, name, &kubernetes.ProviderArgs{
			Kubeconfig: args.Kubeconfig, Context: pulumi.String(args.Context), EnableServerSideApply: pulumi.Bool(apply),
		}, pulumi.Parent(c))
	}
	if c.Provider, err = provider(name, true); err != nil {
		return err
	}
	c.Creator, err = provider(name+"-creator", args.Own)
	return err
}

// prepare makes the namespace, then what holds for every pod in it.
func (c *Cluster) prepare(ctx *pulumi.Context, name, namespace string) error {
	ns, err := object.New(ctx, name+"-namespace", Namespace(namespace), pulumi.Parent(c), pulumi.Provider(c.Creator))
	if err != nil {
		return err
	}
	c.Ready = append(c.Ready, ns)
	in := []pulumi.ResourceOption{pulumi.Parent(c), pulumi.Provider(c.Provider), pulumi.DependsOn([]pulumi.Resource{ns})}
	for _, policy := range []struct {
		name string
		obj  any
	}{
		{"default-deny", DefaultDeny(namespace)},
		{"allow-dns", AllowDNS(namespace)},
	} {
		res, err := object.New(ctx, name+"-"+policy.name, policy.obj, in...)
		if err != nil {
			return err
		}
		c.Ready = append(c.Ready, res)
	}
	return nil
}
