// Command embedded runs the one-machine cloud: it builds the tools from pinned
// modules, writes the images, and starts and stops the cluster.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"caravan.dev/embedded/checkout"
	"caravan.dev/embedded/cluster"
	"caravan.dev/embedded/host"
	"caravan.dev/embedded/images"
	"caravan.dev/embedded/progress"
	"caravan.dev/embedded/toolchain"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "embedded:", err)
		stop()
		os.Exit(1)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "embedded",
		Short:         "A real Kubernetes cluster on this machine, for the stack `local`",
		SilenceErrors: true, SilenceUsage: true,
	}
	root.AddCommand(
		&cobra.Command{Use: "up", Short: "Build what is missing and bring the cluster up", Args: cobra.NoArgs, RunE: up},
		&cobra.Command{Use: "down", Short: "End the cluster and remove all that it made", Args: cobra.NoArgs, RunE: down},
		&cobra.Command{Use: "status", Short: "Show processes, nodes and pods; exit code 1 when the cluster is not healthy", Args: cobra.NoArgs, RunE: status},
		logs(),
		&cobra.Command{Use: "env [STACK]", Short: "Print the environment for pulumi and kubectl", Args: cobra.MaximumNArgs(1), RunE: env,
			Example: "  eval \"$(embedded env)\"\n  eval \"$(embedded env kubeconfig)\""},
		tools(),
		&cobra.Command{Use: "leftovers", Short: "List what remains of a cluster; exit code 1 when something does", Args: cobra.NoArgs, RunE: leftovers},
	)
	return root
}

// workspace is what most commands start with.
type workspace struct {
	checkout.Checkout
	printer *progress.Printer
}

func open() (workspace, error) {
	dir, err := os.Getwd()
	if err != nil {
		return workspace{}, err
	}
	c, err := checkout.Find(dir)
	return workspace{c, progress.New(os.Stderr)}, err
}

// compilers are needed while something is built.
func compilers(missing []string) []string {
	if len(missing) == 0 {
		return nil
	}
	return []string{"go", "gcc", "g++"}
}

// gibPerTool is what building a tool takes for a while, modules and compiled
// packages: 24 GiB were measured for the ten of them.
const gibPerTool = 3

// mayStart refuses at once what would be refused after a long build.
func (w workspace) mayStart(ctx context.Context) error {
	c := w.existing()
	if err := c.CheckOwner(); err != nil {
		return err
	}
	if c.Healthy(ctx) == nil {
		return nil // what runs already has shown that it can
	}
	machine, err := host.This()
	if err != nil {
		return err
	}
	return errors.Join(machine.Check(), c.FreeNetwork(ctx))
}

// build builds the tools of the groups and links them into the checkout.
func (w workspace) build(ctx context.Context, groups ...toolchain.Group) (toolchain.Built, error) {
	cache, err := toolchain.CacheDir()
	if err != nil {
		return nil, err
	}
	if slices.Contains(groups, toolchain.Run) {
		if err := w.install(ctx); err != nil {
			return nil, err
		}
	}
	builder := &toolchain.Builder{Source: w.Tools(), Cache: cache, Report: w.printer.Step}
	missing, err := builder.Missing(groups...)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(host.FreeDisk(cache, len(missing)*gibPerTool), host.Programs(compilers(missing)...)); err != nil {
		return nil, err
	}
	built, err := builder.Build(ctx, groups...)
	if err != nil {
		return nil, err
	}
	return built, w.Link(built)
}

func (w workspace) cluster(built toolchain.Built, archive string) *cluster.Cluster {
	return cluster.New(built, archive, w.Root, w.printer.Step)
}

// install installs the Debian packages that the embedded cluster needs and the machine lacks.
func (w workspace) install(ctx context.Context) error {
	packages := host.Missing(append(host.BuildPackages, host.RunPackages...))
	if len(packages) == 0 {
		return nil
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("these Debian packages are missing: %s; install them, or run this as root", strings.Join(packages, " "))
	}
	return w.printer.Step("installing Debian packages", func() error { return host.Install(ctx, packages) })
}

// existing is the cluster of this machine with tools that were built before.
func (w workspace) existing() *cluster.Cluster {
	built := toolchain.Built{}
	for _, name := range []string{"kubectl", "kubeadm"} {
		built[name] = w.Path("bin", name)
	}
	return w.cluster(built, "")
}

func up(cmd *cobra.Command, _ []string) error {
	ctx := cmd.Context()
	w, err := open()
	if err != nil {
		return err
	}
	if err := w.mayStart(ctx); err != nil {
		return err
	}
	unlock, err := cluster.Lock()
	if err != nil {
		return err
	}
	defer unlock()
	built, err := w.build(ctx, toolchain.Deploy, toolchain.Run)
	if err != nil {
		return err
	}
	cache, err := toolchain.CacheDir()
	if err != nil {
		return err
	}
	var archive string
	if err := w.printer.Step("writing images", func() (err error) {
		archive, err = images.Archive(images.All(built), cache)
		return err
	}); err != nil {
		return err
	}
	return w.start(ctx, w.cluster(built, archive))
}

// start brings the cluster up and records what the checkout needs to use it.
func (w workspace) start(ctx context.Context, c *cluster.Cluster) error {
	fresh, err := c.Up(ctx)
	if err != nil {
		return err
	}
	local := checkout.Stack{Checkout: w.Checkout, Name: checkout.Local}
	if fresh {
		// The state of a stack whose cluster is gone describes nothing.
		if err := os.RemoveAll(local.Path("state")); err != nil {
			return err
		}
	}
	if err := local.Prepare(local.Path("kubeconfig")); err != nil {
		return err
	}
	kubeconfig, err := c.Kubeconfig(ctx)
	if err != nil {
		return err
	}
	if err := os.WriteFile(local.Path("kubeconfig"), kubeconfig, 0o600); err != nil {
		return err
	}
	keda, err := c.Manifests.Keda(ctx)
	if err != nil {
		return err
	}
	return os.WriteFile(local.Path("keda.yaml"), keda, 0o644)
}

func down(cmd *cobra.Command, _ []string) error {
	w, err := open()
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("ending the embedded cluster needs root: run it with sudo")
	}
	unlock, err := cluster.Lock()
	if err != nil {
		return err
	}
	defer unlock()
	return w.printer.Step("ending the cluster", func() error { return w.existing().Down(cmd.Context()) })
}

func status(cmd *cobra.Command, _ []string) error {
	w, err := open()
	if err != nil {
		return err
	}
	text, err := w.existing().Status(cmd.Context())
	if err != nil {
		return fmt.Errorf("%w; `make up` brings it up", err)
	}
	fmt.Fprint(cmd.OutOrStdout(), text)
	return nil
}

func logs() *cobra.Command {
	var follow bool
	cmd := &cobra.Command{Use: "logs PROCESS", Short: "Show the log of a process of the cluster", Args: cobra.ExactArgs(1),
		Example: "  embedded logs kube-apiserver\n  embedded logs -f node-0-kubelet",
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := open()
			if err != nil {
				return err
			}
			path, err := w.existing().LogFile(args[0])
			if err != nil {
				return err
			}
			tail := exec.CommandContext(cmd.Context(), "tail", "-n", "+1", path)
			if follow {
				tail = exec.CommandContext(cmd.Context(), "tail", "-n", "20", "-F", path)
			}
			tail.Stdout, tail.Stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return tail.Run()
		}}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on as the log grows")
	return cmd
}

func env(cmd *cobra.Command, args []string) error {
	w, err := open()
	if err != nil {
		return err
	}
	stack := checkout.Stack{Checkout: w.Checkout, Name: checkout.Local}
	if len(args) > 0 {
		stack.Name = args[0]
	}
	exports, err := stack.Exports()
	if err != nil {
		return err
	}
	fmt.Fprint(cmd.OutOrStdout(), exports)
	return nil
}

func tools() *cobra.Command {
	var checks, kubeconfig bool
	cmd := &cobra.Command{Use: "tools", Short: "Build the tools and link them into .caravan/bin", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := open()
			if err != nil {
				return err
			}
			groups := []toolchain.Group{toolchain.Deploy}
			if !kubeconfig {
				groups = append(groups, toolchain.Run)
			}
			if checks {
				groups = append(groups, toolchain.Check)
			}
			if _, err := w.build(cmd.Context(), groups...); err != nil {
				return err
			}
			if !kubeconfig {
				return nil
			}
			return checkout.Stack{Checkout: w.Checkout, Name: checkout.Kubeconfig}.Prepare("")
		}}
	cmd.Flags().BoolVar(&checks, "checks", false, "build the linters and the test runner too")
	cmd.Flags().BoolVar(&kubeconfig, "kubeconfig", false, "build only what a stack on a cluster of your own needs, and record an environment that leaves KUBECONFIG to you")
	return cmd
}

func leftovers(cmd *cobra.Command, _ []string) error {
	left := cluster.Leftovers(cmd.Context())
	for _, item := range left {
		fmt.Fprintln(cmd.OutOrStdout(), item)
	}
	if len(left) > 0 {
		return fmt.Errorf("%d things remain of a cluster; `make down` removes them", len(left))
	}
	return nil
}
