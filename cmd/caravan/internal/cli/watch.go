package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/spf13/cobra"

	"caravan.dev/caravan/cmd/caravan/internal/monitor"
	_ "caravan.dev/caravan/cmd/caravan/internal/noquery" // before Bubble Tea
	"caravan.dev/caravan/cmd/caravan/internal/view"
)

type watchOptions struct {
	interval   time.Duration
	untilEmpty bool
}

func (a *app) watchCommand() *cobra.Command {
	var options watchOptions
	command := &cobra.Command{
		Use:   "watch",
		Short: "Watch the backlog shrink and the workers come and go",
		Long: `Watch shows the backlog, the workers, the rate and the time that is left, live in
a terminal (q quits), else as one line whenever something changes.

backlog is what is outstanding, running is what workers have taken of it; rate is
results per second over the last ` + view.Span(monitor.Window) + `. The workers go on when watch ends.`,
		Example: `  caravan watch
  caravan watch --until-empty --interval 10s > drain.log
  caravan watch --output json | jq .backlog`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return a.watch(command.Context(), options)
		},
	}
	command.Flags().DurationVar(&options.interval, "interval", time.Second, "how often to look")
	command.Flags().BoolVar(&options.untilEmpty, "until-empty", false, "end when nothing is outstanding")
	return command
}

func (a *app) watch(ctx context.Context, options watchOptions) error {
	if options.interval <= 0 {
		return usageError("--interval must be positive")
	}
	t, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer t.close()
	if a.output == outputText && terminalWidth(a.Out) > 0 {
		return a.watchLive(ctx, t, options)
	}
	return a.watchPlain(ctx, t, options)
}

// watchRecord is one line of --output json.
type watchRecord struct {
	At           time.Time `json:"at"`
	Backlog      int64     `json:"backlog"`
	Running      int64     `json:"running"`
	Done         int64     `json:"done"`
	Dead         int64     `json:"dead"`
	WorkersReady int       `json:"workersReady"`
	// WorkersWanted is absent when only heartbeats are known.
	WorkersWanted *int    `json:"workersWanted,omitempty"`
	PerSecond     float64 `json:"perSecond"`
	// ETASeconds is absent when nothing was done lately.
	ETASeconds *float64 `json:"etaSeconds,omitempty"`
}

// watchPlain writes a line for the first sample and for each that differs from the one before.
func (a *app) watchPlain(ctx context.Context, t *target, options watchOptions) error {
	var history monitor.History
	ticker := time.NewTicker(options.interval)
	defer ticker.Stop()
	trouble := ""
	for {
		previous, known := history.Last()
		sample, err := t.sample(ctx, a)
		switch {
		case ctx.Err() != nil:
			return nil // Ctrl-C is how a watch ends
		case err != nil && err.Error() != trouble:
			trouble = err.Error()
			a.sayf("caravan: %s (trying again)", view.OneLine(trouble))
		case err == nil:
			trouble = ""
			history.Add(sample)
			if !known || !sample.SameAs(previous) {
				if err := a.watchLine(&history, sample); err != nil {
					return err
				}
			}
			if options.untilEmpty && sample.Counts.Backlog == 0 {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (a *app) watchLine(history *monitor.History, s monitor.Sample) error {
	if a.output == outputText {
		_, err := fmt.Fprintln(a.Out, view.WatchLine(history))
		return err
	}
	record := watchRecord{
		At: s.At, Backlog: s.Counts.Backlog, Running: s.Counts.Running, Done: s.Counts.Done, Dead: s.Counts.Dead,
		WorkersReady: s.Workers.Ready, PerSecond: history.Rate(),
	}
	if s.Workers.WantedKnown {
		record.WorkersWanted = &s.Workers.Wanted
	}
	if eta, ok := history.ETA(); ok {
		seconds := eta.Seconds()
		record.ETASeconds = &seconds
	}
	return writeJSON(a.Out, record, "")
}

// watchLive runs the view in the terminal. It stays below the prompt, so that
// its last state can still be read when it has ended.
func (a *app) watchLive(ctx context.Context, t *target, options watchOptions) error {
	model := &liveView{
		options: options, history: &monitor.History{}, title: t.title(), width: terminalWidth(a.Out),
		sample: func() (monitor.Sample, error) { return t.sample(ctx, a) },
	}
	_, err := tea.NewProgram(model, tea.WithContext(ctx), tea.WithInput(a.In), tea.WithOutput(a.Out), tea.WithoutSignalHandler()).Run()
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
		return nil // Ctrl-C is how a watch ends
	}
	return err
}

// liveView is the live view's state; view.Watch draws it.
type liveView struct {
	options watchOptions
	sample  func() (monitor.Sample, error)
	title   string
	history *monitor.History
	trouble string
	width   int
}

type (
	// sampled is the answer to one look at the system; tick asks for the next.
	sampled struct {
		sample monitor.Sample
		err    error
	}
	tick struct{}
)

// Init implements tea.Model.
func (v *liveView) Init() tea.Cmd { return v.look }

func (v *liveView) look() tea.Msg {
	sample, err := v.sample()
	return sampled{sample, err}
}

// Update implements tea.Model.
func (v *liveView) Update(message tea.Msg) (tea.Model, tea.Cmd) {
	switch message := message.(type) {
	case tea.WindowSizeMsg:
		v.width = message.Width
	case tea.KeyMsg:
		if key := message.String(); key == "q" || key == "ctrl+c" {
			return v, tea.Quit
		}
	case tick:
		return v, v.look
	case sampled:
		return v, v.take(message)
	}
	return v, nil
}

func (v *liveView) take(s sampled) tea.Cmd {
	v.trouble = ""
	if s.err != nil {
		v.trouble = s.err.Error()
	} else {
		v.history.Add(s.sample)
		if v.options.untilEmpty && s.sample.Counts.Backlog == 0 {
			return tea.Quit
		}
	}
	return tea.Tick(v.options.interval, func(time.Time) tea.Msg { return tick{} })
}

// View implements tea.Model.
func (v *liveView) View() string {
	return view.Watch(view.Frame{Title: v.title, History: v.history, Trouble: v.trouble}, v.width)
}
