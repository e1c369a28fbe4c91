package stacks

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	// dnsLabel is what Kubernetes takes as a namespace; queue and pipeline
	// names keep to it because they become parts of names.
	dnsLabel     = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	dnsSubdomain = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
	modelName    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]*(:[A-Za-z0-9][A-Za-z0-9._-]*)?$`)
)

const (
	// storagePerMemory: while Redis rewrites its append-only file, the volume
	// holds the old one, up to twice the data, and the new one.
	storagePerMemory = 3
	// longestCooldown is the longest stabilisation window of an HPA.
	longestCooldown = time.Hour
)

// Validate finds everything in the spec that contradicts itself or does not
// fit, at most one fault a key. A spec without faults can be derived.
func (s Spec) Validate() Faults {
	var fs Faults
	s.checkNames(&fs)
	s.checkCluster(&fs)
	s.checkKeda(&fs)
	s.checkNodes(&fs)
	s.checkQueue(&fs)
	s.checkScaling(&fs)
	z, ok := s.sizing()
	s.checkWorkers(z, &fs)
	if ok {
		s.checkGrace(z, &fs)
	}
	if ok && (s.Cluster.Kind == z.Cluster || s.Cluster.Kind == "") {
		z.check(&fs)
	}
	return fs.sorted()
}

func (s Spec) checkNames(fs *Faults) {
	for _, n := range []struct {
		key, value string
		is         *regexp.Regexp
		mend       string
	}{
		{keyNamespace, s.Namespace, dnsLabel, "use up to 63 of a-z, 0-9 and -"},
		{keyPipeline, s.Pipeline, dnsLabel, "name a file in pipelines/ without its ending"},
		{keyQueueName, s.Queue.Name, dnsLabel, "use up to 63 of a-z, 0-9 and -"},
		{keyKedaNamespace, s.Keda.Namespace, dnsLabel, "use up to 63 of a-z, 0-9 and -"},
	} {
		if !n.is.MatchString(n.value) {
			fs.add(n.key, show(n.value), "is no valid name", n.mend)
		}
	}
	if s.Queue.StorageClass != "" && !dnsSubdomain.MatchString(s.Queue.StorageClass) {
		fs.add(keyStorageClass, show(s.Queue.StorageClass), "is no valid name", "name a StorageClass of the cluster, or none for its default")
	}
	if s.Worker.Model != "" && !modelName.MatchString(s.Worker.Model) {
		fs.add(keyModel, show(s.Worker.Model), "is no Ollama model name", "write one like qwen2.5:0.5b")
	}
}

func (s Spec) checkCluster(fs *Faults) {
	kind := s.Cluster.Kind
	p, ok := profileOf(s.Profile)
	switch {
	case !ok:
		otherwise := "use " + either(profilesFor(kind))
		fs.add(keyProfile, show(s.Profile), "is no profile", meant(s.Profile, profilesFor(kind), otherwise))
	case kind != "" && p.Cluster != kind:
		fs.add(keyProfile, show(s.Profile), fmt.Sprintf("is for cluster.kind %s, not %s", p.Cluster, kind), "use "+either(profilesFor(kind)))
	}
	if s.Cluster.Context != "" && kind != "" && kind != Kubeconfig {
		fs.add(keyClusterContext, show(s.Cluster.Context), "is for cluster.kind kubeconfig", "remove it")
	}
}

func (s Spec) checkKeda(fs *Faults) {
	k := s.Keda
	switch {
	case k.Existing && k.Manifests != "":
		fs.add(keyKedaExisting, "true", "contradicts keda.manifests "+show(k.Manifests)+", which would install KEDA", "remove one of them")
	case !k.Existing && k.Manifests == "" && s.Cluster.Kind == Embedded:
		fs.add(keyKedaManifests, show(""), "is the Helm chart, which the embedded cluster cannot fetch", "name the file of manifests that the embedded cluster renders")
	}
	if k.Namespace == s.Namespace {
		fs.add(keyKedaNamespace, show(k.Namespace), "is the namespace of the queue and the workers, where nothing reaches KEDA", "choose another")
	}
}

// checkNodes refuses what describes nodes where Caravan creates none.
func (s Spec) checkNodes(fs *Faults) {
	switch s.Cluster.Kind {
	case EKS:
		if s.Nodes.Max == 0 {
			fs.add(keyNodesMax, "0", "leaves the workers no node", "set how many nodes the stack may pay for")
		} else if s.Nodes.Max < s.Nodes.Min {
			fs.add(keyNodesMax, strconv.Itoa(s.Nodes.Max), fmt.Sprintf("is below nodes.min %d", s.Nodes.Min), "raise nodes.max or lower nodes.min")
		}
	case Embedded, Kubeconfig:
		for _, n := range []struct {
			key   string
			set   bool
			value string
		}{
			{keyInstanceTypes, len(s.Worker.InstanceTypes) > 0, show(strings.Join(s.Worker.InstanceTypes, ", "))},
			{keyPerNode, s.Worker.PerNode > 0, strconv.Itoa(s.Worker.PerNode)},
			{keyGPUSlices, s.Worker.GPUSlices > 0, strconv.Itoa(s.Worker.GPUSlices)},
			{keyNodesMin, s.Nodes.Min > 0, strconv.Itoa(s.Nodes.Min)},
			{keyNodesMax, s.Nodes.Max > 0, strconv.Itoa(s.Nodes.Max)},
			{keyNodesSpot, s.Nodes.Spot, "true"},
		} {
			if n.set {
				fs.add(n.key, n.value, "is about nodes that Caravan creates", "remove it or use cluster.kind eks")
			}
		}
	}
}

func (s Spec) checkQueue(fs *Faults) {
	q := s.Queue
	switch {
	case q.MaxMemory.IsZero():
		fs.add(keyQueueMaxMemory, show(""), "leaves the queue no memory", "write one like 1Gi")
	case q.Storage.IsZero():
		fs.add(keyQueueStorage, show(""), "leaves the queue no volume", "write one like 10Gi")
	case q.Storage.Value()/storagePerMemory < q.MaxMemory.Value():
		fs.add(keyQueueStorage, q.Storage.String(),
			fmt.Sprintf("is less than %d times queue.maxMemory %s, what rewriting the append-only file can take", storagePerMemory, q.MaxMemory.String()),
			"raise queue.storage or lower queue.maxMemory")
	}
	if follows := q.Mode.signal(); s.Scaling.Signal != "" && follows != "" && s.Scaling.Signal != follows {
		fs.add(keySignal, show(string(s.Scaling.Signal)), fmt.Sprintf("sees nothing of queue.mode %s", q.Mode), "remove it or use "+string(follows))
	}
}

func (s Spec) checkScaling(fs *Faults) {
	c := s.Scaling
	if s.Worker.MaxAttempts == 0 {
		fs.add(keyMaxAttempts, "0", "lets no message be tried", "write 1 or more")
	}
	if c.DrainWithin < time.Second {
		fs.add(keyDrainWithin, short(c.DrainWithin), "is less than 1s", "write how long the backlog may take, like 5m")
	}
	for _, d := range []struct {
		key         string
		value       time.Duration
		least, most time.Duration
	}{
		{keyPollingInterval, c.PollingInterval, time.Second, longestCooldown},
		{keyCooldown, c.Cooldown, 0, longestCooldown},
		{keyGrace, s.Grace, 0, 24 * time.Hour},
	} {
		if d.value != d.value.Truncate(time.Second) || d.value < d.least || d.value > d.most {
			fs.add(d.key, short(d.value), fmt.Sprintf("is no whole number of seconds from %s to %s", short(d.least), short(d.most)), "write one like 15s or 2m")
		}
	}
}

// check finds what is wrong with a profile as the stack overrides it: first
// its own figures, then whether its workers fit on its nodes.
func (z sizing) check(fs *Faults) {
	for _, n := range []struct {
		key   string
		value int
	}{
		{keySlots, z.Slots},
		{keyContextTokens, z.ContextTokens},
		{keyGPUSlices, z.GPUSlices},
	} {
		if n.value < 1 {
			fs.add(n.key, strconv.Itoa(n.value), "leaves a worker nothing to work with", "write 1 or more")
		}
	}
	if z.PerMessage <= 0 {
		fs.add(keyPerMessage, seconds(z.PerMessage), "is not positive", "write what a typical message takes")
	}
	if z.MaxPerMessage < z.PerMessage {
		fs.add(keyMaxPerMessage, seconds(z.MaxPerMessage), "is below worker.secondsPerMessage "+seconds(z.PerMessage), "raise it to the worst case of one generation")
	}
	if z.model.Memory.IsZero() {
		fs.add(keyModel, show(z.model.Name), "is not in the catalog of models", "set worker.modelMemory, or add it to stacks/models.go")
	}
	if z.model.InImage && z.Cluster != Embedded {
		fs.add(keyModel, show(z.model.Name), "exists only in the embedded cluster's image", "use a model of Ollama's library")
	}
	if z.Cluster == EKS {
		z.checkInstances(fs)
	}
}

// checkInstances finds what does not fit on the nodes.
func (z sizing) checkInstances(fs *Faults) {
	if len(z.InstanceTypes) == 0 {
		fs.add(keyInstanceTypes, show(""), "leaves the workers no node", "name one")
		return
	}
	for _, t := range z.InstanceTypes {
		if _, ok := instanceOf(t); !ok {
			fs.add(keyInstanceTypes, show(t), "is not in the catalog of instance types", meant(t, instanceTypes(), "add it to stacks/instances.go"))
			return
		}
	}
	first := z.instances[0]
	for _, i := range z.instances[1:] {
		if !i.sameSize(first) {
			fs.add(keyInstanceTypes, show(i.Type), fmt.Sprintf("(%s) is not of the size of %s (%s)", i.size(), first.Type, first.size()), "name types with the same cores, memory and GPU")
			return
		}
	}
	if z.GPUSlices > 1 && first.GPUs == 0 {
		fs.add(keyGPUSlices, strconv.Itoa(z.GPUSlices), fmt.Sprintf("divides a GPU, but %s has none", first.Type), "remove it or name worker.instanceTypes with a GPU")
		return
	}
	z.checkFit(first, fs)
	z.checkVRAM(first.GPU, fs)
}

// checkFit compares the workers per node with what a node has room for.
func (z sizing) checkFit(instance Instance, fs *Faults) {
	room := z.allocatable()
	fit, limit := room.minus(daemonSets).fit(z.leastWorker())
	value := strconv.Itoa(z.PerNode)
	switch {
	case z.PerNode < 1:
		fs.add(keyPerNode, value, "leaves the nodes without workers", "write 1 or more")
	case z.PerNode > fit:
		fs.add(keyPerNode, value, fmt.Sprintf("is more than the %d that fit on %s (%s)", fit, instance.Type, limit),
			"lower worker.perNode, or name larger worker.instanceTypes or a smaller worker.model")
	case z.PerNode < room.GPUs:
		fs.add(keyPerNode, value, fmt.Sprintf("leaves %d of %d GPU shares of %s idle", room.GPUs-z.PerNode, room.GPUs, instance.Type),
			"raise worker.perNode, lower worker.gpuSlices or name smaller worker.instanceTypes")
	}
}

// checkVRAM compares the models that can meet on one GPU with its memory.
func (z sizing) checkVRAM(gpu GPU, fs *Faults) {
	if z.gpus() == 0 || z.sharing()*inMiB(z.model.Memory) <= gpu.MiB {
		return
	}
	who := ""
	if z.sharing() > 1 {
		who = fmt.Sprintf(" in each of %d workers", z.sharing())
	}
	fs.add(keyModel, show(z.model.Name), fmt.Sprintf("takes %s of VRAM%s, the GPU (%s) has %dMi", z.model.Memory.String(), who, gpu.Name, gpu.MiB),
		"use a smaller model, fewer worker.slots or worker.contextTokens, or a larger GPU")
}

// checkWorkers compares the bounds of the workers with each other and with the
// nodes.
func (s Spec) checkWorkers(z sizing, fs *Faults) {
	c, room := s.Scaling, s.Nodes.Max*z.PerNode
	switch {
	case c.MaxWorkers == 0 && (s.Cluster.Kind == Embedded || s.Cluster.Kind == Kubeconfig):
		fs.add(keyMaxWorkers, "0", "sets no bound where Caravan does not create the nodes", "set how many workers the cluster has room for")
	case c.MaxWorkers > 0 && c.MaxWorkers < c.MinWorkers:
		fs.add(keyMaxWorkers, strconv.Itoa(c.MaxWorkers), fmt.Sprintf("is below scaling.minWorkers %d", c.MinWorkers), "raise scaling.maxWorkers or lower scaling.minWorkers")
	case room == 0:
	case c.MaxWorkers > room:
		fs.add(keyMaxWorkers, strconv.Itoa(c.MaxWorkers), fmt.Sprintf("is more than the %d that nodes.max %d has room for", room, s.Nodes.Max), "lower scaling.maxWorkers or raise nodes.max")
	case c.MinWorkers > room:
		fs.add(keyMinWorkers, strconv.Itoa(c.MinWorkers), fmt.Sprintf("is more than the %d that nodes.max %d has room for", room, s.Nodes.Max), "lower scaling.minWorkers or raise nodes.max")
	}
}

func (s Spec) checkGrace(z sizing, fs *Faults) {
	if least := timingOf(z.MaxPerMessage, 0).Grace; s.Grace > 0 && s.Grace < least {
		fs.add(keyGrace, short(s.Grace), fmt.Sprintf("is shorter than the %s that a message of %s needs to end", short(least), short(z.MaxPerMessage)),
			"remove it or lower worker.maxSecondsPerMessage")
	}
}

// size is the instance's size in words.
func (i Instance) size() string {
	parts := []string{fmt.Sprintf("%d vCPU", i.VCPU), fmt.Sprintf("%d MiB", i.MiB)}
	if i.GPUs > 0 {
		parts = append(parts, fmt.Sprintf("%d × %s", i.GPUs, i.GPU.Name))
	}
	return strings.Join(parts, ", ")
}

// short writes a duration without the zero units that Go appends: 5m, not 5m0s.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// seconds writes a duration as the decimal number of seconds that the keys take.
func seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'g', -1, 64)
}
