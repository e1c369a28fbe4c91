package monitor

import (
	"testing"
	"time"

	"caravan.dev/caravan/cmd/caravan/internal/queue"
)

func sample(second int, backlog, done int64, ready int) Sample {
	return Sample{
		At: time.Unix(int64(second), 0), Counts: queue.Counts{Backlog: backlog, Done: done}, Workers: Workers{Ready: ready},
	}
}

func TestRateIsTakenOverTheWindowAlone(t *testing.T) {
	var h History
	for second := range 101 { // 1/s for 50 s, then 3/s
		h.Add(sample(second, 60, int64(second+2*max(0, second-50)), 0))
	}
	if got := h.Rate(); got != 3 {
		t.Errorf("rate %v, want 3", got)
	}
	if eta, ok := h.ETA(); !ok || eta != 20*time.Second {
		t.Errorf("ETA %v, %v; want 20s", eta, ok)
	}
}

func TestWithoutProgressThereIsNoETA(t *testing.T) {
	var h History
	for _, s := range []Sample{sample(0, 10, 5, 0), sample(5, 10, 5, 0), sample(9, 10, 0, 0)} {
		if _, ok := h.ETA(); ok {
			t.Error("an ETA without progress")
		}
		h.Add(s)
	}
	if h.Rate() != 0 {
		t.Errorf("deleted results give rate %v, want 0", h.Rate())
	}
}

func TestHistoryStaysBoundedAndKeepsThePeak(t *testing.T) {
	var h History
	h.Add(sample(0, 1, 0, 7))
	for second := range 5000 {
		h.Add(sample(second, int64(second), 0, 1))
	}
	if len(h.samples) > 2*kept {
		t.Errorf("%d samples kept", len(h.samples))
	}
	if h.PeakWorkers() != 7 {
		t.Errorf("peak %d, want 7", h.PeakWorkers())
	}
	if got := h.Backlogs(2); len(got) != 2 || got[0] != 4998 || got[1] != 4999 {
		t.Errorf("newest backlogs %v", got)
	}
}
