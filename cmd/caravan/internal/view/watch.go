package view

import (
	"fmt"
	"strings"
	"time"

	"caravan.dev/caravan/cmd/caravan/internal/monitor"
)

// Frame is what the live view shows.
type Frame struct {
	// Title names what is watched.
	Title   string
	History *monitor.History
	// Trouble is why the newest sample is missing; empty when it is not.
	Trouble string
}

// labelWidth is the width of the left column of the live view.
const labelWidth = 10

// Watch draws the live view, no line wider than width.
func Watch(f Frame, width int) string {
	lines := []string{f.Title, ""}
	if s, ok := f.History.Last(); ok {
		lines = append(lines, body(f.History, s, width)...)
	} else if f.Trouble == "" {
		lines = append(lines, "reaching the queue …")
	}
	if f.Trouble != "" {
		lines = append(lines, "", "! "+OneLine(f.Trouble)+" (trying again)")
	}
	lines = append(lines, "", "q quits; the workers go on")
	for i := range lines {
		lines[i] = strings.TrimRight(Clip(lines[i], width), " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

func body(h *monitor.History, s monitor.Sample, width int) []string {
	c := s.Counts
	line := func(label, value string) string { return fmt.Sprintf("%-*s%s", labelWidth, label, value) }
	columns := min(60, width-labelWidth)
	total := c.Backlog + c.Done + c.Dead
	return []string{
		line("backlog", fmt.Sprintf("%s (%s running)", Number(c.Backlog), Number(c.Running))),
		line("done", Number(c.Done)),
		line("dead", Number(c.Dead)),
		line("workers", workers(s.Workers)),
		line("rate", Rate(h.Rate())),
		line("ETA", eta(h)),
		"",
		line("progress", Bar(columns, c.Done, c.Dead, total)),
		line("backlog", Sparkline(h.Backlogs(columns))),
		line("rate", Sparkline(h.Rates(columns))),
	}
}

func workers(w monitor.Workers) string {
	if !w.WantedKnown {
		return fmt.Sprintf("%d ready", w.Ready)
	}
	return fmt.Sprintf("%d ready of %d wanted", w.Ready, w.Wanted)
}

func eta(h *monitor.History) string {
	last, _ := h.Last()
	if last.Counts.Backlog == 0 {
		return "empty"
	}
	if left, ok := h.ETA(); ok {
		return Span(left)
	}
	return "unknown"
}

// WatchLine is the live view on one line, for logs.
func WatchLine(h *monitor.History) string {
	s, ok := h.Last()
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s  backlog %s (%s running)  done %s  dead %s  workers %s  %s  ETA %s",
		s.At.Format(time.TimeOnly), Number(s.Counts.Backlog), Number(s.Counts.Running), Number(s.Counts.Done),
		Number(s.Counts.Dead), workers(s.Workers), Rate(h.Rate()), eta(h))
}

// Progress is how far the messages that are waited for have come.
type Progress struct {
	// Done, Dead and Total count messages.
	Done, Dead, Total int64
	Workers           monitor.Workers
	// Rate is results per second; Elapsed is since the load began.
	Rate    float64
	Elapsed time.Duration
}

// Percent is how much of the total has come to its end.
func (p Progress) Percent() int {
	if p.Total == 0 {
		return 100
	}
	return int((p.Done + p.Dead) * 100 / p.Total)
}

// ProgressLine draws one line, with a bar where there is room for one; width 0 leaves the bar out.
func ProgressLine(p Progress, width int) string {
	text := fmt.Sprintf("%3d%%  %s of %s done, %s dead  workers %s  %s  %s", p.Percent(),
		Number(p.Done), Number(p.Total), Number(p.Dead), workers(p.Workers), Rate(p.Rate), Span(p.Elapsed))
	if width == 0 {
		return text
	}
	if room := width - len([]rune(text)) - 2; room >= 8 {
		return Bar(min(room, 30), p.Done, p.Dead, p.Total) + "  " + text
	}
	return Clip(text, width)
}
