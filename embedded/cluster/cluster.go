package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"caravan.dev/embedded/host"
	"caravan.dev/embedded/manifests"
	"caravan.dev/embedded/supervise"
	"caravan.dev/embedded/toolchain"
)

// Cluster is the embedded cluster of this machine.
type Cluster struct {
	// Built are the programs it runs.
	Built toolchain.Built
	// ImageArchive holds the images that every node imports.
	ImageArchive string
	// Checkout is the folder that the cluster belongs to: its Pulumi state describes what runs in it.
	Checkout   string
	Supervisor supervise.Supervisor
	// Manifests renders what is installed into the cluster.
	Manifests manifests.Renderer
	// Report shows a step and how long it takes.
	Report func(step string, work func() error) error
}

// New is the cluster of this machine, whether it runs or not.
func New(built toolchain.Built, archive, checkout string, report func(string, func() error) error) *Cluster {
	return &Cluster{Built: built, ImageArchive: archive, Checkout: checkout, Report: report,
		Manifests:  manifests.Renderer{Tools: filepath.Join(checkout, "embedded", "tools"), VolumeDir: state("volumes")},
		Supervisor: supervise.Supervisor{Dir: state("services"), LogDir: state("logs")}}
}

// Lock keeps a second up or down away until the returned function is called.
func Lock() (func(), error) {
	if err := os.MkdirAll("/run/lock", 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile("/run/lock/caravan-embedded", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, errors.New("another `embedded up` or `down` is running: wait until it ends")
	}
	return func() { _ = file.Close() }, nil
}

// ErrOwned is another checkout's cluster.
var ErrOwned = errors.New("the embedded cluster of this machine belongs to another checkout")

// CheckOwner refuses, with ErrOwned, to touch the running cluster of a checkout that still exists.
func (c *Cluster) CheckOwner() error {
	if !c.Supervisor.Running() {
		return nil // remains: whoever comes clears them away
	}
	owner, err := os.ReadFile(state("owner"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if path := strings.TrimSpace(string(owner)); path != c.Checkout {
		if _, err := os.Stat(path); err == nil {
			return fmt.Errorf("%w: %s; run `make down` there first", ErrOwned, path)
		}
	}
	return nil
}

// Healthy is nil when the cluster was brought up completely and answers.
func (c *Cluster) Healthy(ctx context.Context) error {
	if _, err := os.Stat(state("complete")); err != nil {
		return errors.New("no cluster is up")
	}
	if !c.Supervisor.Running() {
		return errors.New("the cluster's processes are gone (was the machine restarted?)")
	}
	_, err := c.kubectl(ctx, nil, "wait", "--for=condition=Ready", "--timeout=5s", "nodes", "--all")
	return err
}

// Up brings the cluster up. It returns whether it is new; a healthy one is left
// as it is, the remains of an interrupted one are cleared away first.
func (c *Cluster) Up(ctx context.Context) (bool, error) {
	if err := c.CheckOwner(); err != nil {
		return false, err
	}
	if c.Healthy(ctx) == nil {
		return false, c.refreshImages(ctx)
	}
	if err := c.Down(ctx); err != nil {
		return false, fmt.Errorf("clearing away the remains of an earlier cluster: %w", err)
	}
	if err := c.FreeNetwork(ctx); err != nil {
		return false, err
	}
	steps := []struct {
		name string
		work func(context.Context) error
	}{
		{"starting the control plane", c.bootstrap},
		{"starting " + Node{}.Name(), func(ctx context.Context) error { return c.startNode(ctx, Node{}) }},
		{"starting DNS, metrics and volumes", c.installAddons},
	}
	for _, step := range steps {
		if err := c.Report(step.name, func() error { return step.work(ctx) }); err != nil {
			return false, c.failed(err)
		}
	}
	return true, c.markComplete()
}

// FreeNetwork refuses when ports or addresses that the cluster needs are in use
// by something else. It says nothing while remains of a cluster may use them.
func (c *Cluster) FreeNetwork(ctx context.Context) error {
	if len(Leftovers(ctx)) > 0 {
		return nil
	}
	// The bridge's address is not there yet. A loopback address that nobody uses
	// has the same obstacle: whoever listens on all addresses.
	return errors.Join(host.FreePorts("127.0.0.2", ports...), freeNetworks(ctx))
}

// markComplete records that the cluster is whole, and the images that it has.
func (c *Cluster) markComplete() error {
	return os.WriteFile(state("complete"), []byte(c.ImageArchive), 0o600)
}

// refreshImages gives a running cluster the images of tools that were built since.
func (c *Cluster) refreshImages(ctx context.Context) error {
	imported, err := os.ReadFile(state("complete"))
	if err != nil || string(imported) == c.ImageArchive {
		return err
	}
	services, err := c.Supervisor.Services()
	if err != nil {
		return err
	}
	for _, n := range nodesOf(services) {
		if err := c.Report("importing new images into "+n.Name(), func() error { return n.importImages(ctx, c.ImageArchive) }); err != nil {
			return err
		}
	}
	return c.markComplete()
}

// failed clears away what a failed start has made, but keeps its logs in the checkout.
func (c *Cluster) failed(cause error) error {
	kept := filepath.Join(c.Checkout, ".caravan", "logs")
	if os.RemoveAll(kept) == nil && os.CopyFS(kept, os.DirFS(state("logs"))) == nil {
		cause = fmt.Errorf("%w\nthe logs of the attempt are in %s", cause, kept)
	}
	// A context of its own: the cause may be that the caller's was cancelled.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return errors.Join(cause, c.Down(ctx))
}

func (c *Cluster) bootstrap(ctx context.Context) error {
	for _, dir := range []string{StateDir, RunDir} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return err
		}
	}
	if err := saveSysctls(); err != nil {
		return err
	}
	if err := os.WriteFile(state("owner"), []byte(c.Checkout), 0o600); err != nil {
		return err
	}
	if err := makeBridge(ctx); err != nil {
		return err
	}
	if err := c.issue(ctx); err != nil {
		return err
	}
	return c.startControlPlane(ctx)
}

// Kubeconfig is the administrator's kubeconfig, with the context named ContextName.
func (c *Cluster) Kubeconfig(ctx context.Context) ([]byte, error) {
	content, err := c.kubectl(ctx, nil, "config", "view", "--raw", "--minify", "--flatten")
	if err != nil {
		return nil, err
	}
	return []byte(strings.ReplaceAll(content, "kubernetes-super-admin@kubernetes", ContextName)), nil
}

// Status describes every process and node in a line each.
func (c *Cluster) Status(ctx context.Context) (string, error) {
	if err := c.Healthy(ctx); err != nil {
		return "", err
	}
	var text strings.Builder
	services, err := c.Supervisor.Services()
	if err != nil {
		return "", err
	}
	for _, s := range services {
		fmt.Fprintf(&text, "%-26s %s\n", s, c.Supervisor.Status(s))
	}
	nodes, err := c.kubectl(ctx, nil, "get", "nodes,pods", "--all-namespaces", "-o", "wide")
	return text.String() + "\n" + nodes, err
}

// LogFile is the current log of a process.
func (c *Cluster) LogFile(service string) (string, error) {
	path := filepath.Join(c.Supervisor.LogDir, service, "current")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	services, err := c.Supervisor.Services()
	if err != nil {
		return "", err
	}
	return "", fmt.Errorf("no log of %q; choose one of: %s", service, strings.Join(services, ", "))
}
