// Package cli is the command line: it reads flags, reaches the queue, and
// writes what the other packages found.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"caravan.dev/caravan/cmd/caravan/internal/project"
)

// Exit codes, as the help text documents them.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitMalformed   = 3
	exitDead        = 4
	exitTimeout     = 5
	exitInterrupted = 130
)

// World is what the command line touches outside itself.
type World struct {
	In       io.Reader
	Out, Err io.Writer
	// Env is the environment; Dir the working folder.
	Env project.Env
	Dir string
	// Now is the clock.
	Now func() time.Time
}

// app is the command line while it runs: its surroundings and the flags that all commands share.
type app struct {
	World
	stack, redisURL, queue, queueMode string
	output                            string
}

// exitError carries the exit code of a failure. A nil err means that
// everything has been said.
type exitError struct {
	code int
	err  error
}

// Error implements error.
func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

// Unwrap makes errors.Is look through.
func (e *exitError) Unwrap() error { return e.err }

// Run executes the command line and returns the exit code.
func Run(ctx context.Context, args []string, world World) int {
	a := &app{World: world}
	started := false
	root := a.rootCommand(func() { started = true })
	root.SetArgs(args)
	root.SetIn(world.In)
	root.SetOut(world.Out)
	root.SetErr(world.Err)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	var exit *exitError
	switch {
	case errors.As(err, &exit):
	case !started:
		exit = &exitError{exitUsage, fmt.Errorf("%w; see `%s --help`", err, command.CommandPath())}
	case ctx.Err() != nil:
		exit = &exitError{exitInterrupted, errors.New("interrupted")}
	default:
		exit = &exitError{exitFailed, err}
	}
	if exit.err != nil {
		a.sayf("caravan: %v", exit.err)
	}
	return exit.code
}

const rootHelp = `Caravan turns a queue into LLM answers on Kubernetes. This is its day-two side:
put messages in, watch the workers, take results out, deal with dead letters.

It runs inside the project (the folder with Pulumi.yaml): the outputs of the
stack say where the queue is, and Redis is reached through the cluster.

Which stack: --stack; else the one that "make up" has brought up (local before
kubeconfig); else the one selected in your Pulumi workspace; else local.
"make up" records the environment of its stack in .caravan/<stack>/env. Where
there is such a file it overrides your environment, KUBECONFIG included (that of
stack kubeconfig leaves yours in force); other stacks use yours alone. The
stack's output cluster.context names the context of the kubeconfig; when it is
empty, the current one is used.

Exit codes:
  0    done
  1    failed; status: something is not healthy
  2    wrong usage
  3    load: malformed rows were left out, the rest was loaded
  4    load --wait: some messages became dead letters
  5    load --wait: the timeout passed first
  130  interrupted`

const rootExamples = `  caravan load data/cities.csv --count 1000 --wait
  caravan watch
  caravan results --format csv --out answers.csv
  caravan dead list
  caravan status --output json
  caravan load cities.csv --redis-url redis://localhost:6379`

func (a *app) rootCommand(started func()) *cobra.Command {
	root := &cobra.Command{
		Use:           "caravan",
		Short:         "Load messages, watch the workers, fetch results",
		Long:          rootHelp,
		Example:       rootExamples,
		SilenceUsage:  true,
		SilenceErrors: true,
		// An unknown command is answered on one line.
		DisableSuggestions: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if err := a.checkFlags(); err != nil {
				return err
			}
			started()
			return nil
		},
	}
	flags := root.PersistentFlags()
	flags.StringVarP(&a.stack, "stack", "s", "", `Pulumi stack (default: see "caravan --help")`)
	flags.StringVarP(&a.output, "output", "o", outputText, "output: text or json")
	flags.StringVar(&a.redisURL, "redis-url", "", "reach a queue directly, without stack and cluster (env CARAVAN_REDIS_URL)")
	flags.StringVar(&a.queue, "queue", "caravan", "with --redis-url: the queue's name")
	flags.StringVar(&a.queueMode, "queue-mode", "stream", "with --redis-url: stream or list")
	root.AddCommand(a.loadCommand(), a.watchCommand(), a.resultsCommand(), a.deadCommand(), a.statusCommand())
	return root
}

const (
	outputText = "text"
	outputJSON = "json"
)

func (a *app) checkFlags() error {
	if a.output != outputText && a.output != outputJSON {
		return fmt.Errorf("--output %q: use text or json", a.output)
	}
	if a.redisURL == "" {
		a.redisURL = a.Env["CARAVAN_REDIS_URL"]
	}
	if a.redisURL != "" && a.stack != "" {
		return errors.New("--stack and --redis-url (or CARAVAN_REDIS_URL) exclude each other")
	}
	return nil
}

// sayf writes one line for the person in front, beside the output proper.
func (a *app) sayf(format string, args ...any) {
	_, _ = fmt.Fprintf(a.Err, format+"\n", args...) // nobody to tell when stderr fails
}

// terminalWidth is the width of the terminal that w is; 0 when it is none.
func terminalWidth(w io.Writer) int {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil || width <= 0 {
		return 80
	}
	return width
}

// usageError is a fault of the command line that only the command itself could see.
func usageError(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}
