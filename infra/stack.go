package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"caravan.dev/caravan/components/cluster"
	"caravan.dev/caravan/components/keda"
	"caravan.dev/caravan/components/queue"
	"caravan.dev/caravan/components/worker"
	"caravan.dev/caravan/pipelines"
	"caravan.dev/caravan/stacks"
)

// pipelineDir holds the users' files, in the project's folder.
const pipelineDir = "pipelines"

// loadPlan derives the plan from the whole of the stack's config. The SDK's own
// config package answers only for keys that one asks for, so a misspelt key would
// go unnoticed; the environment variable in which the engine hands over the config
// has them all.
func loadPlan(ctx *pulumi.Context) (stacks.Plan, error) {
	config := map[string]string{}
	if text := os.Getenv(pulumi.EnvConfig); text != "" {
		if err := json.Unmarshal([]byte(text), &config); err != nil {
			return stacks.Plan{}, fmt.Errorf("reading the config in %s: %w", pulumi.EnvConfig, err)
		}
	}
	return stacks.Load(ctx.Stack(), config)
}

// composePipeline makes the workers' Bento document, and has Bento check it
// before anything is deployed.
func composePipeline(ctx *pulumi.Context, plan stacks.Plan) (string, error) {
	pipeline, err := pipelines.Load(inProject(ctx, pipelineDir), plan.Worker.Pipeline)
	if err != nil {
		return "", err
	}
	endpoint, err := queue.NewEndpoint(plan.Queue)
	if err != nil {
		return "", err
	}
	document, err := pipeline.Document(pipelines.Settings{
		Queue: endpoint.Keys, Mode: pipelines.Mode(plan.Queue.Mode),
		Model: plan.Worker.Model.Name, Slots: plan.Worker.Slots, MaxAttempts: plan.Worker.MaxAttempts,
		HTTPTimeout: plan.Timing.HTTPTimeout, ShutdownTimeout: plan.Timing.ShutdownTimeout, MinIdle: plan.Timing.MinIdle,
		WaitPause: plan.Timing.RequeuePause, ServerURL: worker.ModelURL,
	})
	if err != nil {
		return "", err
	}
	if err := pipelines.Lint(ctx.Context(), document); err != nil {
		return "", err
	}
	return document, nil
}

// installScaler installs KEDA and returns what a ScaledObject has to depend on:
// nothing where KEDA runs already.
func installScaler(ctx *pulumi.Context, plan stacks.KedaPlan, home *cluster.Cluster) ([]pulumi.Resource, error) {
	if plan.Existing {
		return nil, nil
	}
	scaler, err := keda.New(ctx, "keda", &keda.Args{
		Manifests: inProject(ctx, plan.Manifests), ChartVersion: plan.ChartVersion, Namespace: plan.Namespace, Creator: home.Creator,
	}, pulumi.Provider(home.Provider))
	if err != nil {
		return nil, err
	}
	return scaler.Ready, nil
}

// inProject makes a path of the config one that holds whatever folder the program
// runs in: it is relative to the project's, the engine starts the program in infra/.
// An empty path stays empty.
func inProject(ctx *pulumi.Context, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(ctx.RootDirectory(), path)
}

// export hands people and the caravan command what they need to reach the stack.
func export(ctx *pulumi.Context, plan stacks.Plan, home *cluster.Cluster, messages *queue.Queue, workers *worker.Worker) {
	ctx.Export("namespace", pulumi.String(plan.Namespace))
	ctx.Export("cluster", pulumi.Map{
		"kind": pulumi.String(plan.Cluster.Kind), "context": home.Context,
	})
	ctx.Export("queue", pulumi.Map{
		"name": pulumi.String(plan.Queue.Name), "mode": pulumi.String(plan.Queue.Mode),
		"service": messages.Service, "port": messages.Port,
		"secret": messages.Secret, "passwordKey": messages.PasswordKey,
	})
	ctx.Export("worker", pulumi.Map{
		"deployment": workers.Deployment, "scaledObject": workers.ScaledObject,
	})
	ctx.Export("plan", pulumi.String(plan.Describe()))
}
