// Package monitor keeps samples of a running queue and derives from them how
// fast it is and how long it will take. It does no I/O.
package monitor

import (
	"time"

	"caravan.dev/caravan/cmd/caravan/internal/queue"
)

// Window is the span over which the rate is taken: long enough to hold several
// messages of a slow model, short enough to follow the number of workers.
const Window = 30 * time.Second

// kept bounds the history that is drawn.
const kept = 600

// Workers is how many workers there are.
type Workers struct {
	// Ready is how many can take messages. Wanted is what the scaler asked for;
	// it is meaningful only when WantedKnown, for only the cluster can tell.
	Ready, Wanted int
	WantedKnown   bool
}

// Sample is the state at one moment.
type Sample struct {
	At      time.Time
	Counts  queue.Counts
	Workers Workers
}

// SameAs tells whether nothing but time has changed.
func (s Sample) SameAs(other Sample) bool {
	return s.Counts == other.Counts && s.Workers == other.Workers
}

// History is a series of samples in the order of time. The zero value is ready for use.
type History struct {
	samples []Sample
	// rates[i] is the rate as of samples[i].
	rates []float64
	peak  int
}

// Add appends the newest sample.
func (h *History) Add(s Sample) {
	h.samples = append(h.samples, s)
	h.rates = append(h.rates, rate(h.samples))
	h.peak = max(h.peak, s.Workers.Ready)
	if len(h.samples) > 2*kept {
		h.samples = append([]Sample(nil), h.samples[kept:]...)
		h.rates = append([]float64(nil), h.rates[kept:]...)
	}
}

// Last is the newest sample; false when there is none.
func (h *History) Last() (Sample, bool) {
	if len(h.samples) == 0 {
		return Sample{}, false
	}
	return h.samples[len(h.samples)-1], true
}

// Rate is results per second over the Window that ends with the newest sample.
func (h *History) Rate() float64 {
	if len(h.rates) == 0 {
		return 0
	}
	return h.rates[len(h.rates)-1]
}

// rate takes the newest sample against the oldest of the Window. Results that
// were deleted meanwhile do not make it negative.
func rate(samples []Sample) float64 {
	newest := samples[len(samples)-1]
	oldest := newest
	for i := len(samples) - 1; i >= 0 && newest.At.Sub(samples[i].At) <= Window; i-- {
		oldest = samples[i]
	}
	span := newest.At.Sub(oldest.At).Seconds()
	if span <= 0 {
		return 0
	}
	return max(0, float64(newest.Counts.Done-oldest.Counts.Done)/span)
}

// ETA is how long the backlog takes at the present rate; false when nothing
// has been done within the Window.
func (h *History) ETA() (time.Duration, bool) {
	last, ok := h.Last()
	rate := h.Rate()
	if !ok || rate == 0 {
		return 0, false
	}
	return time.Duration(float64(last.Counts.Backlog) / rate * float64(time.Second)), true
}

// PeakWorkers is the most workers that were ever ready.
func (h *History) PeakWorkers() int { return h.peak }

// Backlogs are the newest backlogs, n at most, oldest first.
func (h *History) Backlogs(n int) []float64 {
	samples := h.samples[max(0, len(h.samples)-n):]
	backlogs := make([]float64, len(samples))
	for i, s := range samples {
		backlogs[i] = float64(s.Counts.Backlog)
	}
	return backlogs
}

// Rates are the newest rates, n at most, oldest first.
func (h *History) Rates(n int) []float64 { return h.rates[max(0, len(h.rates)-n):] }
