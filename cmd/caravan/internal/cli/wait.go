package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"caravan.dev/caravan/cmd/caravan/internal/monitor"
	"caravan.dev/caravan/cmd/caravan/internal/queue"
	"caravan.dev/caravan/cmd/caravan/internal/view"
	"caravan.dev/caravan/contract"
)

const (
	// forbearance is how long --wait bears a queue that cannot be reached: a Redis pod may move meanwhile.
	forbearance = 2 * time.Minute
	// percentStep is how much progress is worth a line where no line can be redrawn.
	percentStep = 5
)

// waitReport is what --wait saw. It counts the good rows of the file, each id once.
type waitReport struct {
	Done        int `json:"done"`
	Dead        int `json:"dead"`
	Outstanding int `json:"outstanding"`
	// Duplicates counts second answers to a message, which were dropped.
	Duplicates  int64 `json:"duplicates"`
	PeakWorkers int   `json:"peakWorkers"`
	// PerSecond is results per second of ElapsedSeconds, which begin with the load.
	PerSecond      float64 `json:"perSecond"`
	ElapsedSeconds float64 `json:"elapsedSeconds"`
}

// follow watches the loaded ids until all have come to their end. duplicates is
// the counter before the load.
func (l *loader) follow(ctx context.Context, duplicates int64) error {
	l.batch, l.seen = nil, nil
	f := &follower{loader: l, open: l.ids, lastPercent: -percentStep}
	err := f.untilEnd(ctx)
	l.clearProgress()
	report := f.report()
	stats, statsErr := l.target.queue.Stats(context.WithoutCancel(ctx))
	if statsErr == nil {
		report.Duplicates = stats[contract.StatDuplicate] - duplicates
	}
	l.report.Wait = &report
	if l.output == outputText {
		_, _ = fmt.Fprintf(l.Out, "%s done, %s dead, %s\npeak of %s, %s, %s\n",
			view.Number(report.Done), view.Number(report.Dead), view.Plural(int(report.Duplicates), "duplicate", "duplicates"),
			view.Plural(report.PeakWorkers, "worker", "workers"), view.Rate(report.PerSecond), view.Span(l.Now().Sub(l.started)))
	}
	return errors.Join(err, statsErr)
}

// follower is the state of one --wait.
type follower struct {
	*loader
	// open are the ids that have no result yet; dead of them are in no queue either.
	open    []string
	dead    int
	history monitor.History
	// lastPercent is that of the last plain line.
	lastPercent int
	// failing is since when the queue cannot be reached; zero while it can.
	failing time.Time
}

func (f *follower) untilEnd(ctx context.Context) error {
	waiting := ctx
	if f.options.timeout > 0 {
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeout(ctx, f.options.timeout)
		defer cancel()
	}
	ticker := time.NewTicker(f.options.interval)
	defer ticker.Stop()
	for {
		ended, err := f.look(waiting)
		if waiting.Err() == nil && err != nil {
			err = f.bear(err)
		}
		if ended || waiting.Err() == nil && err != nil {
			return err
		}
		select {
		case <-waiting.Done():
			return f.gaveUp(ctx)
		case <-ticker.C:
		}
	}
}

// look asks what became of the open ids and shows it; true when none is outstanding.
func (f *follower) look(ctx context.Context) (bool, error) {
	outcomes, err := f.target.queue.Outcomes(ctx, f.open)
	if err != nil {
		return false, err
	}
	open, dead := make([]string, 0, len(f.open)), 0
	for i, id := range f.open {
		if outcomes[i] == queue.Done {
			continue
		}
		open = append(open, id)
		if outcomes[i] == queue.Dead {
			dead++
		}
	}
	f.open, f.dead = open, dead
	workers, err := f.target.workers(ctx)
	if err != nil {
		return false, err
	}
	f.failing = time.Time{}
	f.history.Add(monitor.Sample{At: f.Now(), Workers: workers, Counts: queue.Counts{
		Backlog: int64(len(f.open) - f.dead), Done: int64(len(f.ids) - len(f.open)), Dead: int64(f.dead),
	}})
	f.show(workers)
	return len(f.open) == f.dead, nil
}

// show redraws the progress bar, or writes a line when there is something new to say.
func (f *follower) show(workers monitor.Workers) {
	p := view.Progress{
		Done: int64(len(f.ids) - len(f.open)), Dead: int64(f.dead), Total: int64(len(f.ids)),
		Workers: workers, Rate: f.history.Rate(), Elapsed: f.Now().Sub(f.started),
	}
	if width := terminalWidth(f.Err); width > 0 {
		f.progress(view.ProgressLine(p, width))
	} else if percent := p.Percent(); percent >= f.lastPercent+percentStep || percent == 100 && f.lastPercent < 100 {
		f.lastPercent = percent
		f.sayf("%s", view.ProgressLine(p, 0))
	}
}

// bear forgives an error for a while: it is nil until forbearance is over.
func (f *follower) bear(err error) error {
	now := f.Now()
	if f.failing.IsZero() {
		f.failing = now
		f.clearProgress()
		f.sayf("caravan: %v (trying again)", err)
	}
	if now.Sub(f.failing) < forbearance {
		return nil
	}
	return fmt.Errorf("giving up after %s; the messages stay in the queue: %w", forbearance, err)
}

// gaveUp says why the wait ended before the messages did.
func (f *follower) gaveUp(ctx context.Context) error {
	outstanding := view.Plural(len(f.open)-f.dead, "message is", "messages are")
	advice := "run the same command again to follow them"
	if f.loader.report.RandomIDs > 0 {
		advice = "follow them with `caravan watch`"
	}
	if ctx.Err() != nil {
		return &exitError{exitInterrupted, fmt.Errorf("interrupted: %s outstanding and the workers go on; %s", outstanding, advice)}
	}
	return &exitError{exitTimeout, fmt.Errorf("the timeout of %s has passed: %s outstanding and the workers go on; %s", f.options.timeout, outstanding, advice)}
}

func (f *follower) report() waitReport {
	elapsed := f.Now().Sub(f.started).Seconds()
	done := len(f.ids) - len(f.open)
	report := waitReport{
		Done: done, Dead: f.dead, Outstanding: len(f.open) - f.dead,
		PeakWorkers: f.history.PeakWorkers(), ElapsedSeconds: math.Round(elapsed*1000) / 1000,
	}
	if elapsed > 0 {
		report.PerSecond = math.Round(float64(done-f.loader.report.AlreadyDone)/elapsed*1000) / 1000
	}
	return report
}
