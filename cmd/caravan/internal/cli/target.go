package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/redis/go-redis/v9"

	"caravan.dev/caravan/cmd/caravan/internal/cluster"
	"caravan.dev/caravan/cmd/caravan/internal/monitor"
	"caravan.dev/caravan/cmd/caravan/internal/project"
	"caravan.dev/caravan/cmd/caravan/internal/queue"
)

// target is the running system that a command works on.
type target struct {
	queue *queue.Queue
	// stack, outputs and cluster are empty when the queue is reached by --redis-url.
	stack   string
	outputs *project.Outputs
	cluster *cluster.Client
	tunnel  io.Closer
}

// open finds the system and reaches its queue.
func (a *app) open(ctx context.Context) (*target, error) {
	t, err := a.locate(ctx)
	if err != nil {
		return nil, err
	}
	if err := t.connect(ctx, a); err != nil {
		t.close()
		return nil, err
	}
	if err := t.queue.Ping(ctx); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// locate finds the system without reaching for its queue.
func (a *app) locate(ctx context.Context) (*target, error) {
	if a.redisURL != "" {
		return &target{}, nil
	}
	p, err := project.Find(a.Dir, a.Env)
	if err != nil {
		return nil, err
	}
	t := &target{}
	stack, err := p.Stack(ctx, a.stack)
	if err != nil {
		return nil, err
	}
	t.stack = stack.Name
	if t.outputs, err = stack.Outputs(ctx); err != nil {
		return nil, err
	}
	t.cluster, err = cluster.New(stack.Env["KUBECONFIG"], t.outputs.Cluster.Context, t.outputs.Namespace)
	return t, err
}

// connect prepares the way to the queue: directly, or through the cluster.
func (t *target) connect(ctx context.Context, a *app) error {
	if t.outputs == nil {
		options, err := redis.ParseURL(a.redisURL)
		if err != nil {
			return usageError("--redis-url: %w; it looks like redis://user:password@host:6379", err)
		}
		return t.openQueue(options, a.queue, a.queueMode)
	}
	q := t.outputs.Queue
	password, err := t.cluster.Password(ctx, q.Secret, q.PasswordKey)
	if err != nil {
		return err
	}
	tunnel := t.cluster.Tunnel(q.Service, q.Port)
	t.tunnel = tunnel
	return t.openQueue(&redis.Options{Password: password, Dialer: tunnel.Dial}, q.Name, q.Mode)
}

func (t *target) openQueue(options *redis.Options, name, mode string) error {
	parsed, err := queue.ParseMode(mode)
	if err != nil {
		return err
	}
	t.queue, err = queue.Open(options, name, parsed)
	return err
}

// close ends connections; what fails then concerns nobody any more.
func (t *target) close() {
	if t.queue != nil {
		_ = t.queue.Close()
	}
	if t.tunnel != nil {
		_ = t.tunnel.Close()
	}
}

// title names the system.
func (t *target) title() string {
	if t.outputs == nil {
		return fmt.Sprintf("queue %s", t.queue.Name())
	}
	return fmt.Sprintf("queue %s of stack %s", t.queue.Name(), t.stack)
}

// workers counts workers: by the Deployment, or by heartbeats where there is no cluster.
func (t *target) workers(ctx context.Context) (monitor.Workers, error) {
	if t.cluster == nil {
		live, err := t.queue.LiveWorkers(ctx)
		return monitor.Workers{Ready: live}, err
	}
	w, err := t.cluster.Workers(ctx, t.outputs.Worker.Deployment)
	return monitor.Workers{Ready: w.Ready, Wanted: w.Wanted, WantedKnown: true}, err
}

// sample reads the state once.
func (t *target) sample(ctx context.Context, a *app) (monitor.Sample, error) {
	counts, err := t.queue.Counts(ctx)
	if err != nil {
		return monitor.Sample{}, err
	}
	workers, err := t.workers(ctx)
	return monitor.Sample{At: a.Now(), Counts: counts, Workers: workers}, err
}

// errListMode is said by commands that need to know the outcome of single messages.
var errListMode = errors.New("this queue is in list mode, which knows waiting messages only; set queue.mode to stream")
