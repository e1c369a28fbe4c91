// Command infra is Caravan's Pulumi program: it reads the stack, derives its
// plan, and composes the components. Each one's outputs feed the next.
package main

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"caravan.dev/caravan/components/cluster"
	"caravan.dev/caravan/components/queue"
	"caravan.dev/caravan/components/worker"
	"caravan.dev/caravan/stacks"
)

func main() { pulumi.Run(program) }

func program(ctx *pulumi.Context) error {
	plan, err := loadPlan(ctx)
	if err != nil {
		return err
	}
	way, err := findCluster(ctx, plan.Cluster)
	if err != nil {
		return err
	}
	document, err := composePipeline(ctx, plan)
	if err != nil {
		return err
	}

	home, err := cluster.New(ctx, "cluster", &cluster.Args{
		Kubeconfig: way.kubeconfig, Context: way.context, Namespace: plan.Namespace,
		Own: plan.Cluster.Kind == stacks.Embedded,
	})
	if err != nil {
		return err
	}
	onCluster := pulumi.Provider(home.Provider)

	scaler, err := installScaler(ctx, plan.Keda, home)
	if err != nil {
		return err
	}

	messages, err := queue.New(ctx, "queue", &queue.Args{
		Namespace: plan.Namespace, Plan: plan.Queue, Image: plan.Images.Redis,
		ScalerNamespace: plan.Keda.Namespace, After: home.Ready,
	}, onCluster)
	if err != nil {
		return err
	}

	workers, err := worker.New(ctx, "worker", &worker.Args{
		Namespace: plan.Namespace, Plan: plan.Worker, Scaling: plan.Scaling, Timing: plan.Timing, Images: plan.Images,
		Pipeline: document, Queue: messages.Endpoint, After: messages.Ready, Scaler: scaler,
	}, onCluster)
	if err != nil {
		return err
	}

	export(ctx, plan, home, messages, workers)
	return nil
}
