package view

import (
	"strings"
	"testing"
	"time"

	"caravan.dev/caravan/cmd/caravan/internal/monitor"
	"caravan.dev/caravan/cmd/caravan/internal/queue"
	"caravan.dev/caravan/internal/golden"
)

// drain is a history of a backlog of 1,000 that shrinks by 4 a second while workers come.
func drain() *monitor.History {
	h := new(monitor.History)
	start := time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)
	for second := range 100 {
		done := int64(max(0, 4*(second-20)))
		h.Add(monitor.Sample{
			At:      start.Add(time.Duration(second) * time.Second),
			Counts:  queue.Counts{Backlog: 1000 - done, Running: min(6, done), Done: done - done/50, Dead: done / 50},
			Workers: monitor.Workers{Ready: min(3, second/20), Wanted: 3, WantedKnown: true},
		})
	}
	return h
}

func TestWatchDrawsEveryFigure(t *testing.T) {
	golden.Check(t, "watch.txt", Watch(Frame{Title: "queue caravan of stack local", History: drain()}, 80))
}

func TestWatchWithTroubleOnANarrowTerminalStaysWithinIt(t *testing.T) {
	text := Watch(Frame{Title: "queue caravan of stack local", History: drain(), Trouble: "reaching redis:\nconnection refused"}, 32)
	golden.Check(t, "watch-narrow.txt", text)
	for line := range strings.Lines(text) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 32 {
			t.Errorf("%d cells wide: %q", n, line)
		}
	}
}

func TestWatchBeforeTheFirstSampleSaysSo(t *testing.T) {
	golden.Check(t, "watch-first.txt", Watch(Frame{Title: "queue caravan", History: new(monitor.History)}, 80))
}

func TestWatchLineHoldsEveryFigure(t *testing.T) {
	want := "12:01:39  backlog 684 (6 running)  done 310  dead 6  workers 3 ready of 3 wanted  3.90/s  ETA 2m55s"
	if got := WatchLine(drain()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestProgressLineFitsItsWidth(t *testing.T) {
	p := Progress{
		Done: 510, Dead: 2, Total: 1000, Rate: 1.94, Elapsed: 4*time.Minute + 5*time.Second,
		Workers: monitor.Workers{Ready: 3, Wanted: 4, WantedKnown: true},
	}
	for width, want := range map[int]string{
		0:   " 51%  510 of 1,000 done, 2 dead  workers 3 ready of 4 wanted  1.94/s  4m05s",
		120: "███████████████░░░░░░░░░░░░░░░   51%  510 of 1,000 done, 2 dead  workers 3 ready of 4 wanted  1.94/s  4m05s",
		40:  " 51%  510 of 1,000 done, 2 dead  worker…",
	} {
		if got := ProgressLine(p, width); got != want {
			t.Errorf("width %d:\ngot  %s\nwant %s", width, got, want)
		}
	}
}

func TestFigures(t *testing.T) {
	for got, want := range map[string]string{
		Number(0): "0", Number(999): "999", Number(1000): "1,000", Number(-1234567): "-1,234,567",
		Rate(0): "0.00/s", Rate(9.949): "9.95/s", Rate(1234.5): "1,235/s",
		Span(0): "0s", Span(245 * time.Second): "4m05s", Span(2*time.Hour + 3*time.Minute): "2h03m", Span(76 * time.Hour): "3d04h",
		Bytes(1023): "1023 B", Bytes(1536): "1.5 KiB", Bytes(64 << 20): "64.0 MiB", Bytes(5 << 40): "5.0 TiB",
		Plural(1, "row", "rows"): "1 row", Plural(0, "row", "rows"): "0 rows", Plural(1200, "row", "rows"): "1,200 rows",
		Bar(10, 5, 2, 10): "█████▒▒░░░", Bar(4, 0, 0, 0): "░░░░", Bar(3, 9, 0, 3): "███", Bar(10, 0, 15, 100): "▒░░░░░░░░░",
		Sparkline([]float64{0, 0.01, 4, 8}): " ▁▄█", Sparkline([]float64{0, 0}): "  ",
		Clip("abc", 3): "abc", Clip("abcd", 3): "ab…", OneLine("a\n  b"): "a b",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
