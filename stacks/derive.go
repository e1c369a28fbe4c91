package stacks

import (
	"cmp"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// PoolLabel marks the nodes that are there for workers, with the value
// PoolWorkers. Without GPUs it is their taint as well, so that nothing else
// keeps them from going.
const (
	PoolLabel   = "caravan.dev/pool"
	PoolWorkers = "workers"
)

const (
	// acceleratorLabel tells Cluster Autoscaler to wait for the device plugin
	// on a new node instead of adding more nodes.
	acceleratorLabel = "k8s.amazonaws.com/accelerator"
	// gpuPresentLabel lets the device plugin's DaemonSet find the node.
	gpuPresentLabel = "nvidia.com/gpu.present"
	// templateTag prefixes the tags that tell Cluster Autoscaler what pods can
	// have on a node of an empty group; without them it assumes that nothing
	// is reserved.
	templateTag = "k8s.io/cluster-autoscaler/node-template/resources/"
)

// Load reads, validates and derives the stack's config, given as Pulumi passes
// it: full key ("caravan:scaling.maxWorkers") to text. The error wraps Faults
// and names the stack's file.
func Load(stack string, config map[string]string) (Plan, error) {
	spec, faults := ParseSpec(config)
	for _, f := range spec.Validate() {
		faults.add(f.Key, f.Value, f.Reason, f.Mend)
	}
	if len(faults) > 0 {
		return Plan{}, fmt.Errorf("%s: %w", "Pulumi."+stack+".yaml", faults.sorted())
	}
	plan := spec.derive()
	plan.Stack = stack
	return plan, nil
}

// derive computes the Plan of a spec that has no faults.
func (s Spec) derive() Plan {
	z, _ := s.sizing()
	node := s.nodePlan(z)
	return Plan{
		Profile:   z.Name,
		Namespace: s.Namespace,
		Cluster:   ClusterPlan{Kind: s.Cluster.Kind, Context: s.Cluster.Context},
		Node:      node,
		Worker:    s.workerPlan(z, node),
		Queue:     s.queuePlan(),
		Scaling:   s.scalingPlan(z),
		Timing:    timingOf(z.MaxPerMessage, s.Grace),
		Images:    s.Cluster.Kind.images(),
		Keda: KedaPlan{
			Existing: s.Keda.Existing, Manifests: s.Keda.Manifests, ChartVersion: kedaChart, Namespace: s.Keda.Namespace,
		},
	}
}

func (s Spec) nodePlan(z sizing) NodePlan {
	if len(z.instances) == 0 {
		return NodePlan{}
	}
	room := z.allocatable().list()
	plan := NodePlan{
		InstanceTypes: z.InstanceTypes,
		Allocatable:   room,
		Labels:        map[string]string{PoolLabel: PoolWorkers},
		Taints:        []corev1.Taint{{Key: PoolLabel, Value: PoolWorkers, Effect: corev1.TaintEffectNoSchedule}},
		Tags:          map[string]string{},
		Min:           s.Nodes.Min,
		Max:           s.Nodes.Max,
		Spot:          s.Nodes.Spot,
	}
	if z.gpus() > 0 {
		plan.Labels[acceleratorLabel] = z.instances[0].GPU.Name
		plan.Labels[gpuPresentLabel] = "true"
		// Feature discovery tolerates this taint with this value and no other.
		plan.Taints = []corev1.Taint{{Key: string(gpuResource), Value: "present", Effect: corev1.TaintEffectNoSchedule}}
	}
	for name, quantity := range room {
		plan.Tags[templateTag+string(name)] = quantity.String()
	}
	return plan
}

func (s Spec) workerPlan(z sizing, node NodePlan) WorkerPlan {
	plan := WorkerPlan{
		Topology:    s.Worker.Topology,
		PerNode:     z.PerNode,
		Slots:       z.Slots,
		Model:       z.model,
		Pipeline:    s.Pipeline,
		MaxAttempts: s.Worker.MaxAttempts,
		Ollama:      z.ollama(),
		HAProxy:     haproxyFootprint.requirements(),
		Bento:       bentoFootprint.requirements(),
	}
	for _, t := range node.Taints {
		plan.Tolerations = append(plan.Tolerations, corev1.Toleration{
			Key: t.Key, Operator: corev1.TolerationOpEqual, Value: t.Value, Effect: t.Effect,
		})
	}
	if pool, ok := node.Labels[PoolLabel]; ok {
		plan.NodeSelector = map[string]string{PoolLabel: pool}
	}
	return plan
}

// redisMiB is what Redis takes beside its data.
const redisMiB = 64

// queuePlan leaves Redis room for a full copy of its data: while a child
// process rewrites the append-only file, every page that changes exists twice.
func (s Spec) queuePlan() QueuePlan {
	data := inMiB(s.Queue.MaxMemory)
	return QueuePlan{
		Name:         s.Queue.Name,
		Mode:         s.Queue.Mode,
		Storage:      s.Queue.Storage,
		StorageClass: s.Queue.StorageClass,
		MaxMemory:    s.Queue.MaxMemory,
		Resources:    footprint{milliCPU: 100, mib: data + redisMiB, limitMiB: 2*data + redisMiB}.requirements(),
	}
}

func (s Spec) scalingPlan(z sizing) ScalingPlan {
	return ScalingPlan{
		Signal:            cmp.Or(s.Scaling.Signal, s.Queue.Mode.signal()),
		MessagesPerWorker: cmp.Or(s.Scaling.MessagesPerWorker, messagesWithin(s.Scaling.DrainWithin, z.Slots, z.PerMessage)),
		MinWorkers:        s.Scaling.MinWorkers,
		MaxWorkers:        cmp.Or(s.Scaling.MaxWorkers, s.Nodes.Max*z.PerNode),
		PollingInterval:   s.Scaling.PollingInterval,
		Cooldown:          s.Scaling.Cooldown,
		ScaleDownWindow:   s.Scaling.Cooldown,
	}
}

// messagesWithin is how many messages a worker finishes in the time that the
// backlog may take, at least one.
func messagesWithin(drainWithin time.Duration, slots int, perMessage time.Duration) int {
	return max(1, int(float64(slots)*float64(drainWithin)/float64(perMessage)))
}
