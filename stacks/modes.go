package stacks

import (
	"fmt"
	"slices"
)

// ClusterKind is where a stack runs.
type ClusterKind string

// The kinds of cluster.
const (
	// Embedded is the one-machine cloud of embedded/: images are local, KEDA comes from its module.
	Embedded ClusterKind = "embedded"
	// Kubeconfig is any existing cluster: the current context, or cluster.context.
	Kubeconfig ClusterKind = "kubeconfig"
	// EKS is a cluster that the stack creates on AWS.
	EKS ClusterKind = "eks"
)

// Topology is how consumers and model servers are joined.
type Topology string

// Coupled is a consumer with its own proxy and its own model server in one pod.
const Coupled Topology = "coupled"

// QueueMode is the Redis type that holds the backlog.
type QueueMode string

// The queue modes.
const (
	// StreamMode loses nothing: see docs/architecture.md.
	StreamMode QueueMode = "stream"
	// ListMode is the naive baseline to compare against: popped work is lost with its worker.
	ListMode QueueMode = "list"
)

// Signal is what the scaler watches.
type Signal string

// The signals.
const (
	// StreamSignal is the length of the stream: waiting and running messages.
	StreamSignal Signal = "stream"
	// ListSignal is the length of the list: waiting messages only.
	ListSignal Signal = "list"
)

// ParseClusterKind reads a cluster kind; anything but the kinds above is a
// NotAllowed error.
func ParseClusterKind(text string) (ClusterKind, error) {
	return parseClosed("cluster kind", text, Embedded, Kubeconfig, EKS)
}

// ParseTopology reads a topology; anything but the topologies above is a
// NotAllowed error.
func ParseTopology(text string) (Topology, error) {
	return parseClosed("topology", text, Coupled)
}

// ParseQueueMode reads a queue mode; anything but the modes above is a
// NotAllowed error.
func ParseQueueMode(text string) (QueueMode, error) {
	return parseClosed("queue mode", text, StreamMode, ListMode)
}

// ParseSignal reads a signal; anything but the signals above is a NotAllowed
// error.
func ParseSignal(text string) (Signal, error) {
	return parseClosed("signal", text, StreamSignal, ListSignal)
}

// signal is the one signal that sees a queue of this mode.
func (m QueueMode) signal() Signal {
	switch m {
	case ListMode:
		return ListSignal
	case StreamMode:
		return StreamSignal
	}
	return ""
}

// NotAllowed is the error for a text that is no value of a closed type.
type NotAllowed struct {
	// Type is the closed type in words, Text what was read instead of one of its values.
	Type, Text string
	// Allowed are all values of the type.
	Allowed []string
}

// Error names the type, the text and the allowed values.
func (e *NotAllowed) Error() string {
	return fmt.Sprintf("%q is no %s; use %s", e.Text, e.Type, either(e.Allowed))
}

func parseClosed[T ~string](typ, text string, allowed ...T) (T, error) {
	if slices.Contains(allowed, T(text)) {
		return T(text), nil
	}
	names := make([]string, len(allowed))
	for i, a := range allowed {
		names[i] = string(a)
	}
	return "", &NotAllowed{Type: typ, Text: text, Allowed: names}
}
