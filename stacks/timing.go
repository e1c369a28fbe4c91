package stacks

import "time"

const (
	// requeuePause is how long a worker holds a failed message before it goes
	// back to the queue, commitTime what recording an outcome may take.
	requeuePause = 5 * time.Second
	commitTime   = 5 * time.Second
	// afterShutdown is what is left of a pod's grace period for the sidecars,
	// which end one after the other once Bento has.
	afterShutdown = 15 * time.Second
	// afterGrace is what Cluster Autoscaler waits beyond a pod's grace period.
	afterGrace = 15 * time.Second
)

// timingOf derives all deadlines from the worst case of one generation, in
// whole seconds. A longer grace period than needed is kept.
//
// Bento's HTTP client does not retry (a script requeues instead), so a message
// holds its slot for one request, the pause before a requeue and the commit.
// Three quarters of Bento's shutdown timeout are graceful.
func timingOf(maxPerMessage, grace time.Duration) Timing {
	tMax := maxPerMessage + requeuePause + commitTime
	shutdown := ceilSeconds(tMax * 4 / 3)
	grace = max(grace, shutdown+afterShutdown)
	return Timing{
		MaxPerMessage:   maxPerMessage,
		HTTPTimeout:     maxPerMessage,
		RequeuePause:    requeuePause,
		TMax:            tMax,
		ShutdownTimeout: shutdown,
		Grace:           grace,
		MinIdle:         2 * tMax,
		AutoscalerGrace: grace + afterGrace,
	}
}

func ceilSeconds(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}
