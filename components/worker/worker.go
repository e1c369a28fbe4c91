// Package worker runs what answers the messages: pods in which Bento takes a
// message, HAProxy bounds how many are generated at once, and Ollama generates;
// and the ScaledObject that decides how many such pods there are.
package worker

import (
	"fmt"
	"slices"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"caravan.dev/caravan/components/internal/object"
	"caravan.dev/caravan/components/queue"
	"caravan.dev/caravan/stacks"
)

// Type is the Pulumi type of the component.
const Type = "caravan:components:Worker"

// Args are the parts of a Plan that shape the workers, and what they are joined to.
type Args struct {
	// Namespace they are put into.
	Namespace string
	// Plan shapes the pod, Scaling the number of pods, Timing their deadlines.
	Plan    stacks.WorkerPlan
	Scaling stacks.ScalingPlan
	Timing  stacks.Timing
	Images  stacks.Images
	// Pipeline is the complete Bento document. It reads POD_NAME and REDIS_URL from the
	// environment, calls Ollama at ModelURL and serves /ping and /ready on BentoPort.
	Pipeline string
	// Queue is where the messages come from.
	Queue queue.Endpoint
	// After are resources that must exist first: the namespace's and the queue's.
	After []pulumi.Resource
	// Scaler are the resources that a ScaledObject depends on: KEDA's.
	Scaler []pulumi.Resource
}

// Worker is a Deployment of workers and its ScaledObject.
type Worker struct {
	pulumi.ResourceState

	// Deployment is the name of the workers' Deployment.
	Deployment pulumi.StringOutput `pulumi:"deployment"`
	// ScaledObject is the name of what scales it.
	ScaledObject pulumi.StringOutput `pulumi:"scaledObject"`
}

// New registers the workers. It fails for a topology that it cannot build.
func New(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Worker, error) {
	w := &Worker{}
	if err := ctx.RegisterComponentResource(Type, name, w, opts...); err != nil {
		return nil, fmt.Errorf("registering worker %q: %w", name, err)
	}
	if err := w.build(ctx, name, args); err != nil {
		return nil, fmt.Errorf("creating worker %q: %w", name, err)
	}
	w.Deployment = pulumi.String(Name).ToStringOutput()
	w.ScaledObject = pulumi.String(Name).ToStringOutput()
	err := ctx.RegisterResourceOutputs(w, pulumi.Map{"deployment": w.Deployment, "scaledObject": w.ScaledObject})
	if err != nil {
		return nil, fmt.Errorf("registering the outputs of worker %q: %w", name, err)
	}
	return w, nil
}

// build is the one place where a topology becomes objects.
func (w *Worker) build(ctx *pulumi.Context, name string, args *Args) error {
	switch args.Plan.Topology {
	case stacks.Coupled:
		deployment, err := w.deploy(ctx, name, args)
		if err != nil {
			return err
		}
		return w.scale(ctx, name, args, deployment)
	default:
		return fmt.Errorf("no way to build topology %q", args.Plan.Topology)
	}
}

// deploy registers the pods with what they mount and whom they may talk to.
func (w *Worker) deploy(ctx *pulumi.Context, name string, args *Args) (*object.Object, error) {
	configs := Configs(args)
	needed := slices.Clone(args.After)
	for _, o := range []struct {
		suffix string
		obj    any
	}{
		{"-bento", configs.Bento},
		{"-haproxy", configs.HAProxy},
		{"-network", NetworkPolicy(args)},
	} {
		res, err := object.New(ctx, name+o.suffix, o.obj, pulumi.Parent(w), pulumi.DependsOn(args.After))
		if err != nil {
			return nil, err
		}
		needed = append(needed, res)
	}
	return object.New(ctx, name+"-deployment", Deployment(args),
		pulumi.Parent(w), pulumi.DependsOn(needed), pulumi.Timeouts(rolloutTimeouts(args)))
}

// scale registers the scaler's way in and the ScaledObject, which has a finalizer:
// it is deleted while the Deployment and KEDA still exist.
func (w *Worker) scale(ctx *pulumi.Context, name string, args *Args, deployment *object.Object) error {
	needed := append(slices.Clone(args.Scaler), deployment)
	auth, err := object.New(ctx, name+"-trigger-authentication", TriggerAuthenticationFor(args),
		pulumi.Parent(w), pulumi.DependsOn(needed))
	if err != nil {
		return err
	}
	scaled, err := ScaledObjectFor(args)
	if err != nil {
		return err
	}
	_, err = object.New(ctx, name+"-scaled-object", scaled,
		pulumi.Parent(w), pulumi.DependsOn(append(needed, auth)))
	return err
}

// rolloutTimeouts are how long Pulumi waits for the Deployment. A rollout
// replaces half of the pods at a time, so it takes two rounds, or three with an
// odd one out; each is bounded by the Deployment's own progress deadline.
func rolloutTimeouts(args *Args) *pulumi.CustomTimeouts {
	round := progressDeadline(args)
	return &pulumi.CustomTimeouts{
		Create: round.String(),
		Update: (3 * round).String(),
		Delete: (args.Timing.Grace + time.Minute).String(),
	}
}
