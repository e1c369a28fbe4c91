// Command caravan is the day-two side of Caravan: it loads messages, watches
// the workers, fetches results and deals with dead letters.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"k8s.io/klog/v2"

	"caravan.dev/caravan/cmd/caravan/internal/cli"
	"caravan.dev/caravan/cmd/caravan/internal/project"
)

// silent is a logger that says nothing.
type silent struct{}

// Printf implements go-redis's logging interface.
func (silent) Printf(context.Context, string, ...any) {}

func main() {
	// The libraries log broken connections, which the commands report themselves.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	redis.SetLogger(silent{})

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second Ctrl-C ends the process at once
	dir, err := os.Getwd()
	if err != nil {
		fmt.Fprintln(os.Stderr, "caravan: finding the working folder:", err)
		os.Exit(1)
	}
	os.Exit(cli.Run(ctx, os.Args[1:], cli.World{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Dir: dir,
		Env: project.ParseEnv(os.Environ()), Now: time.Now,
	}))
}
