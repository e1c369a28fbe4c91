package cli

import (
	"context"

	"github.com/spf13/cobra"

	"caravan.dev/caravan/cmd/caravan/internal/health"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Say on one page how the system is, and what to do",
		Long: `Status asks the cluster and the queue and judges what it finds. The exit code is 0
when everything is healthy and 1 when something is not.`,
		Example: `  caravan status
  caravan status --stack gpu
  caravan status --output json | jq .problems`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return a.status(command.Context()) },
	}
}

func (a *app) status(ctx context.Context) error {
	t, err := a.locate(ctx)
	if err != nil {
		return err
	}
	defer t.close()
	findings, err := a.examine(ctx, t)
	if err != nil {
		return err
	}
	report := health.Judge(findings, a.Now())
	if a.output == outputJSON {
		err = writeJSON(a.Out, report, "  ")
	} else {
		err = health.Write(a.Out, report)
	}
	if err == nil && !report.Healthy {
		return &exitError{code: exitFailed}
	}
	return err
}

// examine collects what can be found; a queue out of reach is a finding, not an error.
func (a *app) examine(ctx context.Context, t *target) (health.Findings, error) {
	findings := health.Findings{Queue: a.queue}
	if t.outputs != nil {
		objects, err := t.cluster.Inspect(ctx, t.outputs.Worker.Deployment, t.outputs.Worker.ScaledObject)
		if err != nil {
			return findings, err
		}
		findings.Queue = t.outputs.Queue.Name
		findings.Cluster = &health.Cluster{
			Stack: t.stack, Kind: t.outputs.Cluster.Kind, Host: t.cluster.Host(), Namespace: t.outputs.Namespace, Objects: objects,
		}
	}
	if err := t.connect(ctx, a); err != nil {
		if t.outputs == nil {
			return findings, err // the command line is at fault
		}
		findings.QueueError = err
		return findings, nil
	}
	findings.QueueError = t.examineQueue(ctx, &findings)
	return findings, ctx.Err()
}

func (t *target) examineQueue(ctx context.Context, findings *health.Findings) (err error) {
	if err := t.queue.Ping(ctx); err != nil {
		return err
	}
	findings.Mode = string(t.queue.Mode())
	if findings.Server, err = t.queue.Server(ctx); err != nil {
		return err
	}
	if findings.Counts, err = t.queue.Counts(ctx); err != nil {
		return err
	}
	if findings.Stats, err = t.queue.Stats(ctx); err != nil {
		return err
	}
	findings.LiveWorkers, err = t.queue.LiveWorkers(ctx)
	return err
}
