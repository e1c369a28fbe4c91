package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

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
	plan, err := stacks.Load(ctx.Stack(), config)
	if err != nil {
		return stacks.Plan{}, err
	}
	switch plan.Cluster.Kind {
	case stacks.Embedded, stacks.Kubeconfig:
		return plan, nil
	case stacks.EKS:
		return stacks.Plan{}, errors.New("cluster.kind: eks: creating the cluster on AWS is not in this release; " +
			"make a cluster, point KUBECONFIG at it and use cluster.kind kubeconfig")
	default:
		return stacks.Plan{}, fmt.Errorf("cluster.kind: no way to reach a cluster of kind %q", plan.Cluster.Kind)
	}
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
		ServerURL: worker.ModelURL,
	})
	if err != nil {
		return "", err
	}
	if err := pipelines.Lint(ctx.Context(), document); err != nil {
		return "", err
	}
	return document, nil
}

// findKubeconfig is KUBECONFIG, or what kubectl takes without it. Its path, not
// its content, goes into the stack's state.
func findKubeconfig(kind stacks.ClusterKind) (string, error) {
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("looking for a kubeconfig: %w", err)
		}
		path = filepath.Join(home, ".kube", "config")
	}
	if strings.ContainsRune(path, filepath.ListSeparator) {
		return "", fmt.Errorf("KUBECONFIG names several files (%s): point it at the one that has the cluster", path)
	}
	if _, err := os.Stat(path); err != nil {
		mend := "point KUBECONFIG at the kubeconfig of your cluster"
		if kind == stacks.Embedded {
			mend = "run `make up`, or after it `eval $(make env)`"
		}
		return "", fmt.Errorf("no kubeconfig: %w: %s", err, mend)
	}
	return path, nil
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
func export(ctx *pulumi.Context, plan stacks.Plan, messages *queue.Queue, workers *worker.Worker) {
	ctx.Export("namespace", pulumi.String(plan.Namespace))
	ctx.Export("cluster", pulumi.Map{
		"kind": pulumi.String(plan.Cluster.Kind), "context": pulumi.String(plan.Cluster.Context),
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
