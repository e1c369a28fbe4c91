// Package progress shows what a long command is doing and for how long.
package progress

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// Printer writes a line for each step: rewritten every second on a terminal,
// repeated every 30 seconds elsewhere so that a log shows that work goes on.
type Printer struct {
	// Out is where the lines go.
	Out io.Writer
	// Live is whether Out is a terminal whose last line can be rewritten.
	Live bool
}

// New is a Printer on a file, live when that is a terminal.
func New(out *os.File) *Printer {
	return &Printer{Out: out, Live: term.IsTerminal(int(out.Fd()))}
}

// Step runs work and shows the step's name with the time it takes.
func (p *Printer) Step(step string, work func() error) error {
	start := time.Now()
	done := make(chan error, 1)
	go func() { done <- work() }()
	interval := 30 * time.Second
	if p.Live {
		interval = time.Second
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case err := <-done:
			p.finish(step, time.Since(start), err)
			return err
		case <-ticker.C:
			p.line("…", step, time.Since(start), p.Live)
		}
	}
}

func (p *Printer) finish(step string, elapsed time.Duration, err error) {
	mark := "✓"
	if err != nil {
		mark = "✗"
	}
	p.line(mark, step, elapsed, false)
}

func (p *Printer) line(mark, step string, elapsed time.Duration, rewritten bool) {
	end := "\n"
	if rewritten {
		end = ""
	}
	if p.Live {
		fmt.Fprint(p.Out, "\r\x1b[K")
	}
	fmt.Fprintf(p.Out, "%s %s  %s%s", mark, step, clock(elapsed), end)
}

// clock prints minutes and seconds: 3m07s, 42s, 0.4s.
func clock(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0fs", d.Seconds())
	default:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
}
