package stacks

import (
	"slices"
	"time"
)

// Profile names hardware and what runs on it: a stack is pinned to one, may
// override single values, and everything else follows.
type Profile struct {
	Name string
	// About is one line for people.
	About string
	// Cluster is the kind of cluster that has such hardware.
	Cluster ClusterKind
	// InstanceTypes are of equal size; empty where Caravan does not create the nodes.
	InstanceTypes []string
	// PerNode is the number of workers that share a node; 0 where Caravan does not create the nodes.
	PerNode int
	// GPUSlices is the number of workers that share a GPU: 1 is a whole GPU each.
	GPUSlices int
	// Model is a name in the model catalog, Slots the messages that a worker
	// generates at once, ContextTokens the context window of each.
	Model                string
	Slots, ContextTokens int
	// PerMessage is what a typical message takes while all slots are busy: the
	// scaler's target follows from it. MaxPerMessage is the worst case: the
	// deadlines follow from it.
	PerMessage, MaxPerMessage time.Duration
	// MilliCPU is Ollama's CPU request where Caravan does not create the nodes;
	// where it does, workers divide the node.
	MilliCPU int
}

// profiles is the catalog. Seconds per message on EC2 are estimates for an
// answer of about a hundred tokens: generation is bound by memory bandwidth,
// so one slot makes at most bandwidth ÷ weights tokens a second, and half of
// that is assumed with all slots busy. Measure your own messages and override
// worker.secondsPerMessage.
var profiles = []Profile{
	{Name: "tiny", About: "one machine, model of random weights",
		Cluster: Embedded, GPUSlices: 1, MilliCPU: 150,
		Model: tinyModel, Slots: 2, ContextTokens: 2048,
		PerMessage: 400 * time.Millisecond, MaxPerMessage: 20 * time.Second},
	{Name: "laptop", About: "any cluster at hand, smallest real model",
		Cluster: Kubeconfig, GPUSlices: 1, MilliCPU: 500,
		Model: "qwen2.5:0.5b", Slots: 2, ContextTokens: 2048,
		PerMessage: 4 * time.Second, MaxPerMessage: 2 * time.Minute},

	{Name: "cpu-small", About: "4 vCPU, 8 GiB",
		Cluster: EKS, InstanceTypes: []string{"c7i.xlarge", "c7a.xlarge"}, PerNode: 1, GPUSlices: 1,
		Model: "qwen2.5:1.5b", Slots: 2, ContextTokens: 4096,
		PerMessage: 12 * time.Second, MaxPerMessage: 3 * time.Minute},
	{Name: "cpu-medium", About: "16 vCPU, 32 GiB",
		Cluster: EKS, InstanceTypes: []string{"c7i.4xlarge", "c7a.4xlarge"}, PerNode: 1, GPUSlices: 1,
		Model: "qwen2.5:3b", Slots: 4, ContextTokens: 4096,
		PerMessage: 14 * time.Second, MaxPerMessage: 3 * time.Minute},
	{Name: "cpu-large", About: "16 vCPU, 64 GiB",
		Cluster: EKS, InstanceTypes: []string{"m7i.4xlarge", "m7a.4xlarge"}, PerNode: 1, GPUSlices: 1,
		Model: "llama3.1:8b", Slots: 4, ContextTokens: 8192,
		PerMessage: 40 * time.Second, MaxPerMessage: 5 * time.Minute},
	{Name: "cpu-double", About: "32 vCPU, 128 GiB, two workers a node",
		Cluster: EKS, InstanceTypes: []string{"m7i.8xlarge", "m7a.8xlarge"}, PerNode: 2, GPUSlices: 1,
		Model: "qwen2.5:7b", Slots: 4, ContextTokens: 8192,
		PerMessage: 40 * time.Second, MaxPerMessage: 5 * time.Minute},

	{Name: "gpu-t4", About: "one T4",
		Cluster: EKS, InstanceTypes: []string{"g4dn.xlarge"}, PerNode: 1, GPUSlices: 1,
		Model: "qwen2.5:7b", Slots: 4, ContextTokens: 4096,
		PerMessage: 6 * time.Second, MaxPerMessage: 2 * time.Minute},
	{Name: "gpu-a10g", About: "one A10G",
		Cluster: EKS, InstanceTypes: []string{"g5.xlarge"}, PerNode: 1, GPUSlices: 1,
		Model: "llama3.1:8b", Slots: 8, ContextTokens: 4096,
		PerMessage: 5 * time.Second, MaxPerMessage: 2 * time.Minute},
	{Name: "gpu-l4", About: "one L4",
		Cluster: EKS, InstanceTypes: []string{"g6.xlarge"}, PerNode: 1, GPUSlices: 1,
		Model: "llama3.1:8b", Slots: 8, ContextTokens: 4096,
		PerMessage: 8 * time.Second, MaxPerMessage: 2 * time.Minute},
	{Name: "gpu-l4-sliced", About: "one L4, shared by two workers",
		Cluster: EKS, InstanceTypes: []string{"g6.2xlarge"}, PerNode: 2, GPUSlices: 2,
		Model: "llama3.2:3b", Slots: 4, ContextTokens: 4096,
		PerMessage: 6 * time.Second, MaxPerMessage: 2 * time.Minute},
	{Name: "gpu-l4-quad", About: "four L4, a worker each",
		Cluster: EKS, InstanceTypes: []string{"g6.12xlarge"}, PerNode: 4, GPUSlices: 1,
		Model: "qwen2.5:14b", Slots: 4, ContextTokens: 8192,
		PerMessage: 12 * time.Second, MaxPerMessage: 3 * time.Minute},
	{Name: "gpu-l40s", About: "one L40S",
		Cluster: EKS, InstanceTypes: []string{"g6e.xlarge"}, PerNode: 1, GPUSlices: 1,
		Model: "qwen2.5:32b", Slots: 8, ContextTokens: 8192,
		PerMessage: 12 * time.Second, MaxPerMessage: 3 * time.Minute},
}

// profileOf finds a profile in the catalog.
func profileOf(name string) (Profile, bool) {
	i := slices.IndexFunc(profiles, func(p Profile) bool { return p.Name == name })
	if i < 0 {
		return Profile{}, false
	}
	return profiles[i], true
}

// profilesFor names the profiles for a kind of cluster; "" is any kind.
func profilesFor(kind ClusterKind) []string {
	var names []string
	for _, p := range profiles {
		if kind == "" || p.Cluster == kind {
			names = append(names, p.Name)
		}
	}
	return names
}
