package stacks

import (
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Spec is a stack's config, typed. A zero value leaves the choice to the
// profile or to the cluster, as the key's description says.
type Spec struct {
	Cluster   ClusterSpec
	Namespace string
	Profile   string
	Pipeline  string
	Worker    WorkerSpec
	Queue     QueueSpec
	Scaling   ScalingSpec
	Nodes     NodesSpec
	// Grace is timing.grace.
	Grace time.Duration
	Keda  KedaSpec
}

// KedaSpec holds the keys keda.*.
type KedaSpec struct {
	Manifests string
	Existing  bool
	Namespace string
}

// ClusterSpec holds the keys cluster.*.
type ClusterSpec struct {
	Kind    ClusterKind
	Context string
}

// WorkerSpec holds the keys worker.*; most of them override the profile.
type WorkerSpec struct {
	Topology      Topology
	InstanceTypes []string
	PerNode       int
	GPUSlices     int
	Slots         int
	Model         string
	ModelMemory   resource.Quantity
	ContextTokens int
	// PerMessage is worker.secondsPerMessage, MaxPerMessage worker.maxSecondsPerMessage.
	PerMessage, MaxPerMessage time.Duration
	MaxAttempts               int
}

// QueueSpec holds the keys queue.*.
type QueueSpec struct {
	Name         string
	Mode         QueueMode
	Storage      resource.Quantity
	StorageClass string
	MaxMemory    resource.Quantity
}

// ScalingSpec holds the keys scaling.*.
type ScalingSpec struct {
	DrainWithin               time.Duration
	MessagesPerWorker         int
	Signal                    Signal
	MinWorkers, MaxWorkers    int
	PollingInterval, Cooldown time.Duration
}

// NodesSpec holds the keys nodes.*.
type NodesSpec struct {
	Min, Max int
	Spot     bool
}

// ParseSpec reads a stack's config as Pulumi passes it: full key to text. Keys
// of other namespaces are ignored, missing keys have their defaults. The
// faults are unknown keys and values that are not of their key's type; their
// fields stay zero.
func ParseSpec(config map[string]string) (Spec, Faults) {
	r := &reader{}
	r.values = flatten(config, &r.faults)
	spec := Spec{
		Cluster: ClusterSpec{
			Kind:    closed(r, keyClusterKind, ParseClusterKind),
			Context: r.text(keyClusterContext),
		},
		Namespace: r.text(keyNamespace),
		Profile:   r.text(keyProfile),
		Pipeline:  r.text(keyPipeline),
		Worker: WorkerSpec{
			Topology:      closed(r, keyTopology, ParseTopology),
			InstanceTypes: r.list(keyInstanceTypes),
			PerNode:       r.count(keyPerNode),
			GPUSlices:     r.count(keyGPUSlices),
			Slots:         r.count(keySlots),
			Model:         r.text(keyModel),
			ModelMemory:   r.quantity(keyModelMemory),
			ContextTokens: r.count(keyContextTokens),
			PerMessage:    r.seconds(keyPerMessage),
			MaxPerMessage: time.Duration(r.count(keyMaxPerMessage)) * time.Second,
			MaxAttempts:   r.count(keyMaxAttempts),
		},
		Queue: QueueSpec{
			Name:         r.text(keyQueueName),
			Mode:         closed(r, keyQueueMode, ParseQueueMode),
			Storage:      r.quantity(keyQueueStorage),
			StorageClass: r.text(keyStorageClass),
			MaxMemory:    r.quantity(keyQueueMaxMemory),
		},
		Scaling: ScalingSpec{
			DrainWithin:       r.duration(keyDrainWithin),
			MessagesPerWorker: r.count(keyMessagesPerWorker),
			MinWorkers:        r.count(keyMinWorkers),
			MaxWorkers:        r.count(keyMaxWorkers),
			PollingInterval:   r.duration(keyPollingInterval),
			Cooldown:          r.duration(keyCooldown),
		},
		Nodes: NodesSpec{
			Min:  r.count(keyNodesMin),
			Max:  r.count(keyNodesMax),
			Spot: r.boolean(keyNodesSpot),
		},
		Grace: r.duration(keyGrace),
		Keda: KedaSpec{
			Manifests: r.text(keyKedaManifests),
			Existing:  r.boolean(keyKedaExisting),
			Namespace: r.text(keyKedaNamespace),
		},
	}
	if r.text(keySignal) != "" {
		spec.Scaling.Signal = closed(r, keySignal, ParseSignal)
	}
	return spec, r.faults
}
