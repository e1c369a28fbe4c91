package stacks

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// sizing is a stack's profile with the stack's overrides, looked up in the
// catalogs.
type sizing struct {
	Profile
	// instances has an entry for each known type in InstanceTypes.
	instances []Instance
	// model is complete but for its Memory, which is zero when neither the
	// catalog nor the stack knows it.
	model Model
}

// sizing is false for a profile that does not exist.
func (s Spec) sizing() (sizing, bool) {
	p, ok := profileOf(s.Profile)
	if !ok {
		return sizing{}, false
	}
	w := s.Worker
	if len(w.InstanceTypes) > 0 {
		p.InstanceTypes = w.InstanceTypes
	}
	p.PerNode = cmp.Or(w.PerNode, p.PerNode)
	p.GPUSlices = cmp.Or(w.GPUSlices, p.GPUSlices)
	p.Slots = cmp.Or(w.Slots, p.Slots)
	p.Model = cmp.Or(w.Model, p.Model)
	p.ContextTokens = cmp.Or(w.ContextTokens, p.ContextTokens)
	p.PerMessage = cmp.Or(w.PerMessage, p.PerMessage)
	p.MaxPerMessage = cmp.Or(w.MaxPerMessage, p.MaxPerMessage)

	z := sizing{Profile: p}
	for _, t := range p.InstanceTypes {
		if i, ok := instanceOf(t); ok {
			z.instances = append(z.instances, i)
		}
	}
	z.model = Model{Name: p.Model, ContextTokens: p.ContextTokens, Memory: w.ModelMemory}
	if facts, ok := modelOf(p.Model); ok {
		z.model.InImage = facts.inImage
		if z.model.Memory.IsZero() {
			z.model.Memory = facts.memory(p.Slots, p.ContextTokens, z.gpus() > 0)
		}
	}
	return z, true
}

// gpus is the number of devices of a node.
func (z sizing) gpus() int {
	if len(z.instances) == 0 {
		return 0
	}
	return z.instances[0].GPUs
}

// allocatable is what pods can have on the smallest of the instances. They are
// of one size, but their addresses for pods, and so the memory reserved for
// pods, may differ.
func (z sizing) allocatable() Room {
	room := z.instances[0].Allocatable(z.GPUSlices)
	for _, i := range z.instances[1:] {
		other := i.Allocatable(z.GPUSlices)
		room.MiB = min(room.MiB, other.MiB)
		room.Pods = min(room.Pods, other.Pods)
	}
	return room
}

// footprint is a container's share of a node. There is no CPU limit: what is
// paid for may be used.
type footprint struct {
	milliCPU, mib, limitMiB int
}

func (f footprint) requirements() corev1.ResourceRequirements {
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{
			corev1.ResourceCPU:    milliCPU(f.milliCPU),
			corev1.ResourceMemory: mebibytes(f.mib),
		},
		Limits: corev1.ResourceList{corev1.ResourceMemory: mebibytes(f.limitMiB)},
	}
}

// The sidecars pass a handful of messages a second.
var (
	haproxyFootprint = footprint{milliCPU: 10, mib: 32, limitMiB: 128}
	bentoFootprint   = footprint{milliCPU: 30, mib: 64, limitMiB: 256}
)

const (
	// ollamaMiB is what Ollama's server and runner take beside the model,
	// ollamaGPUMiB what they take in RAM with the CUDA libraries and the
	// buffers through which a model is loaded into VRAM.
	ollamaMiB    = 192
	ollamaGPUMiB = 2048
	// leastMilliCPU is the least a model server can work with: a core to
	// generate on, half a one to feed a GPU.
	leastMilliCPU    = 1000
	leastGPUMilliCPU = 500
)

// leastOllama is the least CPU and RAM that this model can be served with.
func (z sizing) leastOllama() footprint {
	if z.gpus() > 0 {
		return footprint{milliCPU: leastGPUMilliCPU, mib: ollamaGPUMiB}
	}
	return footprint{milliCPU: leastMilliCPU, mib: inMiB(z.model.Memory) + ollamaMiB}
}

// leastWorker is the least room that a worker pod needs on a node. Memory
// counts with the sidecars' limits, so that a full node has no more promised
// than it has.
func (z sizing) leastWorker() Room {
	o := z.leastOllama()
	room := Room{
		MilliCPU: o.milliCPU + haproxyFootprint.milliCPU + bentoFootprint.milliCPU,
		MiB:      o.mib + haproxyFootprint.limitMiB + bentoFootprint.limitMiB,
		Pods:     1,
	}
	if z.gpus() > 0 {
		room.GPUs = 1
	}
	return room
}

// ollama is the model server's part. Workers divide a node that Caravan
// creates among themselves, so that it is full with PerNode workers and none
// of it is idle. On nodes of others the model server asks for what the model
// needs and may double it.
func (z sizing) ollama() corev1.ResourceRequirements {
	if len(z.instances) == 0 {
		mib := inMiB(z.model.Memory) + ollamaMiB
		return footprint{milliCPU: z.MilliCPU, mib: mib, limitMiB: 2 * mib}.requirements()
	}
	room := z.allocatable().minus(daemonSets)
	mib := room.MiB/z.PerNode - haproxyFootprint.limitMiB - bentoFootprint.limitMiB
	cpu := room.MilliCPU/z.PerNode - haproxyFootprint.milliCPU - bentoFootprint.milliCPU
	r := footprint{milliCPU: cpu, mib: mib, limitMiB: mib}.requirements()
	if z.gpus() > 0 {
		one := *resource.NewQuantity(1, resource.DecimalSI)
		r.Requests[gpuResource], r.Limits[gpuResource] = one, one
	}
	return r
}

// sharing is the most workers that one GPU can have at once. The device plugin
// may put as many on the first GPU as it has slices.
func (z sizing) sharing() int {
	return min(z.GPUSlices, z.PerNode)
}
