package stacks

import "slices"

// Project is the Pulumi project's name and the namespace of its config keys.
const Project = "caravan"

// KeyType is a config key's type, in the words of Pulumi.yaml.
type KeyType string

// The types of config keys. A list is an array of strings.
const (
	String  KeyType = "string"
	Integer KeyType = "integer"
	Boolean KeyType = "boolean"
	List    KeyType = "array"
)

// Key declares one config key. Pulumi.yaml declares the same keys; a test
// keeps the two equal. All have a default there: Pulumi would refuse a stack
// that sets one without, even with the key set apart from its group.
type Key struct {
	// Name is the key without the project's namespace.
	Name string
	Type KeyType
	// Default is the value of a stack that does not set the key, as the text
	// that Pulumi passes. An empty text or a zero leaves the choice to the
	// profile or to the cluster; cluster.kind and profile have to be chosen.
	Default string
	// Description says what the key does, its unit and what its default means.
	Description string
}

// The config keys' names.
const (
	keyClusterKind       = "cluster.kind"
	keyClusterContext    = "cluster.context"
	keyNamespace         = "namespace"
	keyProfile           = "profile"
	keyPipeline          = "pipeline"
	keyTopology          = "worker.topology"
	keyInstanceTypes     = "worker.instanceTypes"
	keyPerNode           = "worker.perNode"
	keyGPUSlices         = "worker.gpuSlices"
	keySlots             = "worker.slots"
	keyModel             = "worker.model"
	keyModelMemory       = "worker.modelMemory"
	keyContextTokens     = "worker.contextTokens"
	keyPerMessage        = "worker.secondsPerMessage"
	keyMaxPerMessage     = "worker.maxSecondsPerMessage"
	keyMaxAttempts       = "worker.maxAttempts"
	keyQueueName         = "queue.name"
	keyQueueMode         = "queue.mode"
	keyQueueStorage      = "queue.storage"
	keyStorageClass      = "queue.storageClass"
	keyQueueMaxMemory    = "queue.maxMemory"
	keyDrainWithin       = "scaling.drainWithin"
	keyMessagesPerWorker = "scaling.messagesPerWorker"
	keySignal            = "scaling.signal"
	keyMinWorkers        = "scaling.minWorkers"
	keyMaxWorkers        = "scaling.maxWorkers"
	keyPollingInterval   = "scaling.pollingInterval"
	keyCooldown          = "scaling.cooldown"
	keyNodesMin          = "nodes.min"
	keyNodesMax          = "nodes.max"
	keyNodesSpot         = "nodes.spot"
	keyGrace             = "timing.grace"
	keyKedaManifests     = "keda.manifests"
	keyKedaExisting      = "keda.existing"
	keyKedaNamespace     = "keda.namespace"
)

var keys = []Key{
	{Name: keyClusterKind, Type: String,
		Description: "Where the stack runs: embedded (the one-machine cloud), kubeconfig (an existing cluster) or eks (a cluster that the stack creates on AWS); has to be set"},
	{Name: keyClusterContext, Type: String,
		Description: "The kubeconfig context, with cluster.kind kubeconfig; empty is the current context"},
	{Name: keyNamespace, Type: String, Default: "caravan",
		Description: "Kubernetes namespace of the queue and the workers, created and destroyed with the stack; one that exists already is refused"},
	{Name: keyProfile, Type: String,
		Description: "Hardware profile in stacks/catalog.go that everything else is derived from; has to be set"},
	{Name: keyPipeline, Type: String, Default: "mayors",
		Description: "File in pipelines/, without its ending: how a message becomes a prompt and an answer a result"},

	{Name: keyTopology, Type: String, Default: string(Coupled),
		Description: "How consumers and model servers are joined: coupled (one of each in a pod)"},
	{Name: keyInstanceTypes, Type: List, Default: "[]",
		Description: "EC2 instance types of equal size for the worker nodes; empty is the profile's"},
	{Name: keyPerNode, Type: Integer, Default: "0",
		Description: "Workers that share a node; 0 is the profile's"},
	{Name: keyGPUSlices, Type: Integer, Default: "0",
		Description: "Workers that share a GPU by time-slicing; 0 is the profile's"},
	{Name: keySlots, Type: Integer, Default: "0",
		Description: "Messages that a worker generates at once; 0 is the profile's"},
	{Name: keyModel, Type: String,
		Description: "Ollama model name; empty is the profile's"},
	{Name: keyModelMemory, Type: String,
		Description: "Memory of the model with the context of all slots, in RAM or VRAM, as a Kubernetes quantity; empty is calculated from the model's facts"},
	{Name: keyContextTokens, Type: Integer, Default: "0",
		Description: "Context window of one slot in tokens; 0 is the profile's"},
	{Name: keyPerMessage, Type: String,
		Description: "Seconds that a typical message holds a slot, for the scaler's target; decimals allowed, empty is the profile's"},
	{Name: keyMaxPerMessage, Type: Integer, Default: "0",
		Description: "Seconds that one generation may take at worst, from which all deadlines are derived; 0 is the profile's"},
	{Name: keyMaxAttempts, Type: Integer, Default: "3",
		Description: "Failures after which a message becomes a dead letter"},

	{Name: keyQueueName, Type: String, Default: "caravan",
		Description: "Prefix of the queue's Redis keys"},
	{Name: keyQueueMode, Type: String, Default: string(StreamMode),
		Description: "Redis type of the backlog: stream (loses nothing) or list (the naive baseline)"},
	{Name: keyQueueStorage, Type: String, Default: "10Gi",
		Description: "Size of the queue's volume, at least three times queue.maxMemory"},
	{Name: keyStorageClass, Type: String,
		Description: "StorageClass of the queue's volume; empty is the cluster's default"},
	{Name: keyQueueMaxMemory, Type: String, Default: "1Gi",
		Description: "Memory for messages and results; beyond it new messages are refused, none is evicted"},

	{Name: keyDrainWithin, Type: String, Default: "5m",
		Description: "How long the backlog may take: the duration in which a worker has to finish its share of it"},
	{Name: keyMessagesPerWorker, Type: Integer, Default: "0",
		Description: "Outstanding messages per worker before another is wanted; 0 follows from scaling.drainWithin"},
	{Name: keySignal, Type: String,
		Description: "What the scaler watches: stream or list; empty follows queue.mode"},
	{Name: keyMinWorkers, Type: Integer, Default: "0",
		Description: "Workers that stay when the queue is empty"},
	{Name: keyMaxWorkers, Type: Integer, Default: "0",
		Description: "Most workers at once; 0 is nodes.max times the workers per node"},
	{Name: keyPollingInterval, Type: String, Default: "5s",
		Description: "How soon a first message is seen, in whole seconds"},
	{Name: keyCooldown, Type: String, Default: "5m",
		Description: "How long idle workers are kept, in whole seconds, at most an hour"},

	{Name: keyNodesMin, Type: Integer, Default: "0",
		Description: "Worker nodes that stay when the queue is empty, with cluster.kind eks"},
	{Name: keyNodesMax, Type: Integer, Default: "0",
		Description: "Most worker nodes at once; required with cluster.kind eks"},
	{Name: keyNodesSpot, Type: Boolean, Default: "false",
		Description: "Spot instances for the worker nodes, with cluster.kind eks"},

	{Name: keyGrace, Type: String, Default: "0s",
		Description: "How long a pod may take to end; 0s is derived from the worst case of a message, longer is allowed"},
	{Name: keyKedaManifests, Type: String,
		Description: "File of rendered KEDA manifests, relative to the project's folder; empty installs the Helm chart"},
	{Name: keyKedaExisting, Type: Boolean, Default: "false",
		Description: "KEDA runs in the cluster already: use it and do not install it"},
	{Name: keyKedaNamespace, Type: String, Default: "keda",
		Description: "Kubernetes namespace of KEDA; one that exists already is refused, except with keda.existing"},
}

// Keys lists every config key of the project in the order in which faults are
// reported.
func Keys() []Key {
	return slices.Clone(keys)
}

// keyRank is a key's place in Keys; unknown keys come last.
func keyRank(name string) int {
	if i := slices.IndexFunc(keys, func(k Key) bool { return k.Name == name }); i >= 0 {
		return i
	}
	return len(keys)
}
