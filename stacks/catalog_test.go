package stacks

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// profileConfig is the least config that a profile needs.
func profileConfig(p Profile, set map[string]string) map[string]string {
	base := map[string]string{keyClusterKind: string(p.Cluster), keyProfile: p.Name}
	switch p.Cluster {
	case EKS:
		base[keyNodesMax] = "2"
	case Embedded:
		base[keyKedaManifests] = "keda.yaml"
		base[keyMaxWorkers] = "4"
	case Kubeconfig:
		base[keyMaxWorkers] = "4"
	}
	return with(base, set)
}

func TestEachProfileDerivesAPlan(t *testing.T) {
	for _, p := range profiles {
		t.Run(p.Name, func(t *testing.T) {
			plan, err := Load("some", profileConfig(p, nil))
			if err != nil {
				t.Fatal(err)
			}
			checkChain(t, plan.Timing)
			if plan.Cluster.Kind == EKS {
				checkNode(t, plan)
			}
			if plan.Worker.Slots != p.Slots || plan.Worker.Model.Memory.IsZero() || plan.Scaling.MessagesPerWorker < 1 || plan.Scaling.MaxWorkers < 1 {
				t.Errorf("incomplete plan:\n%s", plan.Describe())
			}
		})
	}
}

// checkNode: as many workers as planned fit beside the DaemonSets, and no
// further one fits even without them.
func checkNode(t *testing.T, plan Plan) {
	t.Helper()
	var worker Room
	for _, r := range []corev1.ResourceRequirements{plan.Worker.Ollama, plan.Worker.HAProxy, plan.Worker.Bento} {
		worker.MilliCPU += int(r.Requests.Cpu().MilliValue())
		worker.MiB += inMiB(*r.Requests.Memory())
		worker.GPUs += int(r.Requests.Name(gpuResource, "").Value())
	}
	worker.Pods = 1
	node := Room{
		MilliCPU: int(plan.Node.Allocatable.Cpu().MilliValue()),
		MiB:      inMiB(*plan.Node.Allocatable.Memory()),
		Pods:     int(plan.Node.Allocatable.Pods().Value()),
		GPUs:     int(plan.Node.Allocatable.Name(gpuResource, "").Value()),
	}
	if n, limit := node.minus(daemonSets).fit(worker); n != plan.Worker.PerNode {
		t.Errorf("%d workers fit beside the DaemonSets (%s), want %d", n, limit, plan.Worker.PerNode)
	}
	if n, limit := node.fit(worker); n != plan.Worker.PerNode {
		t.Errorf("%d workers fit on a bare node (%s), want %d", n, limit, plan.Worker.PerNode)
	}
	limits := int64(0)
	for _, r := range []corev1.ResourceRequirements{plan.Worker.Ollama, plan.Worker.HAProxy, plan.Worker.Bento} {
		limits += r.Limits.Memory().Value()
	}
	if limits*int64(plan.Worker.PerNode) > plan.Node.Allocatable.Memory().Value() {
		t.Error("a full node has promised more memory than it has")
	}
	if plan.Scaling.MaxWorkers != plan.Node.Max*plan.Worker.PerNode {
		t.Errorf("at most %d workers, want all that the nodes have room for", plan.Scaling.MaxWorkers)
	}
	checkPlacement(t, plan)
}

// checkPlacement: the worker tolerates each taint, its selector matches the
// labels, and each resource has its tag.
func checkPlacement(t *testing.T, plan Plan) {
	t.Helper()
	for _, taint := range plan.Node.Taints {
		tolerated := false
		for _, toleration := range plan.Worker.Tolerations {
			tolerated = tolerated || toleration.Key == taint.Key && toleration.Value == taint.Value && toleration.Effect == taint.Effect
		}
		if !tolerated {
			t.Errorf("workers do not tolerate %s", taint.ToString())
		}
	}
	for key, value := range plan.Worker.NodeSelector {
		if plan.Node.Labels[key] != value {
			t.Errorf("workers select %s=%s, nodes have %q", key, value, plan.Node.Labels[key])
		}
	}
	if len(plan.Worker.NodeSelector) == 0 || len(plan.Node.Taints) != 1 || len(plan.Node.Tags) != len(plan.Node.Allocatable) {
		t.Errorf("incomplete placement: %+v", plan.Node)
	}
	for name, quantity := range plan.Node.Allocatable {
		if got := plan.Node.Tags[templateTag+string(name)]; got != quantity.String() {
			t.Errorf("tag of %s is %q, want %s", name, got, quantity.String())
		}
	}
}

// checkChain is the order of deadlines in which none cuts off another.
func checkChain(t *testing.T, c Timing) {
	t.Helper()
	if c.HTTPTimeout < c.MaxPerMessage ||
		c.TMax < c.HTTPTimeout+requeuePause+commitTime ||
		c.ShutdownTimeout*3/4 < c.TMax ||
		c.Grace < c.ShutdownTimeout+15*time.Second ||
		c.MinIdle < 2*c.TMax ||
		c.AutoscalerGrace < c.Grace {
		t.Errorf("a deadline cuts off another: %+v", c)
	}
	for _, d := range []time.Duration{c.HTTPTimeout, c.TMax, c.ShutdownTimeout, c.Grace, c.MinIdle, c.AutoscalerGrace} {
		if d%time.Second != 0 {
			t.Errorf("%s is no whole number of seconds", d)
		}
	}
}

func TestNoDeadlineCutsOffAnother(t *testing.T) {
	for s := 1; s <= 1000; s++ {
		checkChain(t, timingOf(time.Duration(s)*time.Second, 0))
		checkChain(t, timingOf(time.Duration(s)*time.Second, 20*time.Minute))
	}
}

func TestALongerGraceIsKept(t *testing.T) {
	c := timingOf(20*time.Second, time.Hour)
	if c.Grace != time.Hour || c.AutoscalerGrace != time.Hour+15*time.Second || c.ShutdownTimeout != 40*time.Second {
		t.Errorf("got %+v", c)
	}
}

func TestAProfileWithoutFiguresIsRefused(t *testing.T) {
	var faults Faults
	sizing{Profile: Profile{Name: "empty", Cluster: EKS}}.check(&faults)
	want := Faults{
		{keyInstanceTypes, `""`, "leaves the workers no node", "name one"},
		{keyGPUSlices, "0", "leaves a worker nothing to work with", "write 1 or more"},
		{keySlots, "0", "leaves a worker nothing to work with", "write 1 or more"},
		{keyModel, `""`, "is not in the catalog of models", "set worker.modelMemory, or add it to stacks/models.go"},
		{keyContextTokens, "0", "leaves a worker nothing to work with", "write 1 or more"},
		{keyPerMessage, "0", "is not positive", "write what a typical message takes"},
	}
	if diff := cmp.Diff(want, faults.sorted()); diff != "" {
		t.Error(diff)
	}
}

func TestOverridesReplaceTheProfile(t *testing.T) {
	plan, err := Load("some", eks(map[string]string{
		keyInstanceTypes: `["g6.12xlarge"]`, keyPerNode: "8", keyGPUSlices: "2", keySlots: "3", keyModel: "mistral:7b",
		keyModelMemory: "9Gi", keyContextTokens: "1024", keyPerMessage: "2.5", keyMaxPerMessage: "30", keyDrainWithin: "1m",
		keyMaxWorkers: "9", keyGrace: "10m", keyNodesSpot: "true",
	}))
	if err != nil {
		t.Fatal(err)
	}
	w := plan.Worker
	gpus := plan.Node.Allocatable.Name(gpuResource, "").Value()
	if w.PerNode != 8 || w.Slots != 3 || w.Model.Name != "mistral:7b" || w.Model.Memory.String() != "9Gi" || w.Model.ContextTokens != 1024 || gpus != 8 {
		t.Errorf("worker is not as overridden:\n%s", plan.Describe())
	}
	if plan.Scaling.MessagesPerWorker != 72 || plan.Scaling.MaxWorkers != 9 || plan.Timing.Grace != 10*time.Minute || !plan.Node.Spot {
		t.Errorf("scaling is not as overridden:\n%s", plan.Describe())
	}
}

func TestTheTargetFollowsFromTheTimeToDrain(t *testing.T) {
	for _, c := range []struct {
		drain      time.Duration
		slots      int
		perMessage time.Duration
		want       int
	}{
		{5 * time.Minute, 4, 12 * time.Second, 100},
		{30 * time.Second, 2, 400 * time.Millisecond, 150},
		{10 * time.Second, 1, 3 * time.Second, 3},
		{time.Second, 1, time.Minute, 1},
	} {
		if got := messagesWithin(c.drain, c.slots, c.perMessage); got != c.want {
			t.Errorf("%d slots of %s in %s: %d messages, want %d", c.slots, c.perMessage, c.drain, got, c.want)
		}
	}
	plan, err := Load("some", eks(map[string]string{keyMessagesPerWorker: "7"}))
	if err != nil || plan.Scaling.MessagesPerWorker != 7 {
		t.Errorf("set by hand: %d, %v", plan.Scaling.MessagesPerWorker, err)
	}
}

func TestTheSignalFollowsTheQueue(t *testing.T) {
	for mode, want := range map[string]Signal{"stream": StreamSignal, "list": ListSignal} {
		plan, err := Load("some", eks(map[string]string{keyQueueMode: mode}))
		if err != nil || plan.Scaling.Signal != want {
			t.Errorf("%s: %q, %v", mode, plan.Scaling.Signal, err)
		}
	}
}

func TestModelMemoryGrowsWithSlotsAndContext(t *testing.T) {
	m, _ := modelOf("llama3.1:8b")
	// 4921 MB of weights, 128 KiB a token, 4 bytes × 512 × (4096 + 128256) of graph.
	if got := inMiB(m.memory(8, 4096, false)); got != 9088 {
		t.Errorf("8 slots of 4096 tokens take %d MiB", got)
	}
	if got := inMiB(m.memory(8, 4096, true)); got != 9536 {
		t.Errorf("on a GPU they take %d MiB", got)
	}
	if a, b := inMiB(m.memory(1, 4096, false)), inMiB(m.memory(1, 8192, false)); b-a != 512 {
		t.Errorf("4096 tokens more take %d MiB", b-a)
	}
	if got := inMiB(models[0].memory(2, 2048, false)); got != 64 {
		t.Errorf("the tiny model takes %d MiB", got)
	}
}

func TestWorkersOnAGPUNodeAskForOneShareEach(t *testing.T) {
	for name, want := range map[string]int{"gpu-l4-sliced": 2, "gpu-l4-quad": 4, "gpu-t4": 1} {
		p, _ := profileOf(name)
		plan, err := Load("some", profileConfig(p, nil))
		if err != nil {
			t.Fatal(err)
		}
		if got := plan.Node.Tags[templateTag+string(gpuResource)]; got != strconv.Itoa(want) {
			t.Errorf("%s: the autoscaler sees %q GPUs, want %d", name, got, want)
		}
		if got := plan.Worker.Ollama.Limits.Name(gpuResource, "").Value(); got != 1 {
			t.Errorf("%s: a worker takes %d GPUs", name, got)
		}
		if taint := plan.Node.Taints[0].ToString(); taint != "nvidia.com/gpu=present:NoSchedule" {
			t.Errorf("%s: taint %s", name, taint)
		}
	}
}
