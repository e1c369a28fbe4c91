package stacks

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Plan is everything that follows from a stack's Spec: every number that the
// components need, derived once. Components take parts of it and compute
// nothing themselves.
type Plan struct {
	// Stack is the Pulumi stack's name, Profile the hardware profile it is pinned to.
	Stack, Profile string
	// Namespace holds the queue and the workers.
	Namespace string
	Cluster   ClusterPlan
	Node      NodePlan
	Worker    WorkerPlan
	Queue     QueuePlan
	Scaling   ScalingPlan
	Timing    Timing
	Images    Images
	Keda      KedaPlan
}

// ClusterPlan says which cluster the stack runs on.
type ClusterPlan struct {
	Kind ClusterKind
	// Context is the kubeconfig context; empty means the current one.
	Context string
}

// NodePlan is one node of the worker group as the scheduler will see it.
type NodePlan struct {
	// InstanceTypes are interchangeable; the first one is the reference for Allocatable.
	// Empty on clusters whose nodes Caravan does not create.
	InstanceTypes []string
	// Allocatable is what pods can have on the smallest of InstanceTypes; nil where Caravan does not create the nodes.
	Allocatable corev1.ResourceList
	// Labels, Taints and Tags (cluster-autoscaler node-template tags) describe a node that does not exist yet.
	Labels map[string]string
	Taints []corev1.Taint
	Tags   map[string]string
	// Min and Max bound the group.
	Min, Max int
	Spot     bool
}

// WorkerPlan shapes the worker pod.
type WorkerPlan struct {
	Topology Topology
	// PerNode is how many workers share a node; 0 where Caravan does not create the nodes.
	PerNode int
	// Slots is the number of messages a worker generates at once:
	// OLLAMA_NUM_PARALLEL = HAProxy's maxconn = Bento's threads.
	Slots int
	Model Model
	// Pipeline names a file in pipelines/ without its ending.
	Pipeline string
	// MaxAttempts is how often a message may fail before it is a dead letter.
	MaxAttempts int
	// Ollama, HAProxy, Bento are each container's requests and limits.
	Ollama, HAProxy, Bento corev1.ResourceRequirements
	// Tolerations and NodeSelector match NodePlan's taints and labels.
	Tolerations  []corev1.Toleration
	NodeSelector map[string]string
}

// Model is the language model a worker serves.
type Model struct {
	// Name is an Ollama model name, e.g. "qwen2.5:0.5b".
	Name string
	// Memory is what weights, context and runtime take, in RAM or in VRAM.
	Memory resource.Quantity
	// ContextTokens is the context window of one slot (OLLAMA_CONTEXT_LENGTH).
	ContextTokens int
	// InImage: the model lies in the Ollama image under /models and is never pulled.
	InImage bool
}

// QueuePlan shapes the Redis server.
type QueuePlan struct {
	// Name prefixes every Redis key (see package contract).
	Name string
	Mode QueueMode
	// Storage is the volume's size, StorageClass its class ("" = the cluster's default).
	Storage      resource.Quantity
	StorageClass string
	// MaxMemory is Redis's maxmemory (policy noeviction); Resources leave room above it.
	MaxMemory resource.Quantity
	Resources corev1.ResourceRequirements
}

// ScalingPlan shapes the ScaledObject.
type ScalingPlan struct {
	Signal Signal
	// MessagesPerWorker is the scaler's target: the backlog divided by it is the number of workers wanted.
	MessagesPerWorker      int
	MinWorkers, MaxWorkers int
	// PollingInterval is how soon a first message is seen, Cooldown how long the last worker outlives the last message.
	PollingInterval, Cooldown time.Duration
	// ScaleDownWindow is the HPA's stabilisation window on the way down.
	ScaleDownWindow time.Duration
}

// Timing is the chain of deadlines that all derive from the worst case of one
// message (MaxPerMessage), so that none can cut off another.
type Timing struct {
	// MaxPerMessage is the longest that one generation may take.
	MaxPerMessage time.Duration
	// HTTPTimeout is Bento's limit for one request; HAProxy's queue and server timeouts equal TMax.
	HTTPTimeout time.Duration
	// RequeuePause is how long a slot is held before a message goes back because of the infrastructure.
	RequeuePause time.Duration
	// TMax is the longest that a message may hold a slot: HTTPTimeout, RequeuePause, the commit.
	TMax time.Duration
	// ShutdownTimeout is Bento's; only three quarters of it are graceful, so 0.75 × it ≥ TMax.
	ShutdownTimeout time.Duration
	// Grace is the pod's terminationGracePeriodSeconds ≥ ShutdownTimeout + 15 s.
	Grace time.Duration
	// MinIdle is how long an entry is left to a worker that shows life but no progress, ≥ 2 × TMax.
	MinIdle time.Duration
	// AutoscalerGrace is Cluster Autoscaler's --max-graceful-termination-sec ≥ Grace.
	AutoscalerGrace time.Duration
}

// Images are complete image references, pinned.
type Images struct {
	Bento, HAProxy, Ollama, Redis string
}

// KedaPlan says how KEDA comes into the cluster.
type KedaPlan struct {
	// Existing: KEDA runs in the cluster already and is not installed.
	Existing bool
	// Manifests is a file of rendered manifests; empty means the Helm chart.
	Manifests string
	// ChartVersion of https://kedacore.github.io/charts, used without Manifests and without Existing.
	ChartVersion string
	// Namespace that KEDA runs in.
	Namespace string
}
