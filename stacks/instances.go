package stacks

import "slices"

// GPU is a kind of accelerator.
type GPU struct {
	// Name is the value of the label k8s.amazonaws.com/accelerator.
	Name string
	// MiB is the memory of one device as EC2 states it.
	MiB int
}

// The GPUs of the instance catalog.
var (
	t4   = GPU{Name: "nvidia-tesla-t4", MiB: 16384}
	a10g = GPU{Name: "nvidia-a10g", MiB: 22888}
	l4   = GPU{Name: "nvidia-l4", MiB: 22888}
	l40s = GPU{Name: "nvidia-l40s", MiB: 45776}
	a100 = GPU{Name: "nvidia-tesla-a100", MiB: 40960}
	h100 = GPU{Name: "nvidia-h100", MiB: 81920}
)

// Instance is an EC2 instance type as EC2 describes it.
type Instance struct {
	Type string
	// VCPU and MiB are the nominal size; pods can have less, see Allocatable.
	VCPU, MiB int
	// GPUs is the number of devices of kind GPU; 0 on a CPU instance.
	GPUs int
	GPU  GPU
	// MaxPods is what the VPC CNI has addresses for: ENIs × (addresses per ENI − 1) + 2.
	MaxPods int
}

var instances = []Instance{
	{Type: "c7i.xlarge", VCPU: 4, MiB: 8192, MaxPods: 58},
	{Type: "c7i.2xlarge", VCPU: 8, MiB: 16384, MaxPods: 58},
	{Type: "c7i.4xlarge", VCPU: 16, MiB: 32768, MaxPods: 234},
	{Type: "c7i.8xlarge", VCPU: 32, MiB: 65536, MaxPods: 234},
	{Type: "c7a.xlarge", VCPU: 4, MiB: 8192, MaxPods: 58},
	{Type: "c7a.2xlarge", VCPU: 8, MiB: 16384, MaxPods: 58},
	{Type: "c7a.4xlarge", VCPU: 16, MiB: 32768, MaxPods: 234},
	{Type: "c7a.8xlarge", VCPU: 32, MiB: 65536, MaxPods: 234},
	{Type: "m7i.xlarge", VCPU: 4, MiB: 16384, MaxPods: 58},
	{Type: "m7i.2xlarge", VCPU: 8, MiB: 32768, MaxPods: 58},
	{Type: "m7i.4xlarge", VCPU: 16, MiB: 65536, MaxPods: 234},
	{Type: "m7i.8xlarge", VCPU: 32, MiB: 131072, MaxPods: 234},
	{Type: "m7a.xlarge", VCPU: 4, MiB: 16384, MaxPods: 58},
	{Type: "m7a.2xlarge", VCPU: 8, MiB: 32768, MaxPods: 58},
	{Type: "m7a.4xlarge", VCPU: 16, MiB: 65536, MaxPods: 234},
	{Type: "m7a.8xlarge", VCPU: 32, MiB: 131072, MaxPods: 234},
	{Type: "g4dn.xlarge", VCPU: 4, MiB: 16384, GPUs: 1, GPU: t4, MaxPods: 29},
	{Type: "g5.xlarge", VCPU: 4, MiB: 16384, GPUs: 1, GPU: a10g, MaxPods: 58},
	{Type: "g5.2xlarge", VCPU: 8, MiB: 32768, GPUs: 1, GPU: a10g, MaxPods: 58},
	{Type: "g5.4xlarge", VCPU: 16, MiB: 65536, GPUs: 1, GPU: a10g, MaxPods: 234},
	{Type: "g5.12xlarge", VCPU: 48, MiB: 196608, GPUs: 4, GPU: a10g, MaxPods: 737},
	{Type: "g6.xlarge", VCPU: 4, MiB: 16384, GPUs: 1, GPU: l4, MaxPods: 58},
	{Type: "g6.2xlarge", VCPU: 8, MiB: 32768, GPUs: 1, GPU: l4, MaxPods: 58},
	{Type: "g6.4xlarge", VCPU: 16, MiB: 65536, GPUs: 1, GPU: l4, MaxPods: 234},
	{Type: "g6.12xlarge", VCPU: 48, MiB: 196608, GPUs: 4, GPU: l4, MaxPods: 234},
	{Type: "g6e.xlarge", VCPU: 4, MiB: 32768, GPUs: 1, GPU: l40s, MaxPods: 58},
	{Type: "g6e.2xlarge", VCPU: 8, MiB: 65536, GPUs: 1, GPU: l40s, MaxPods: 58},
	{Type: "p4d.24xlarge", VCPU: 96, MiB: 1179648, GPUs: 8, GPU: a100, MaxPods: 737},
	{Type: "p5.48xlarge", VCPU: 192, MiB: 2097152, GPUs: 8, GPU: h100, MaxPods: 100},
}

// instanceOf finds an instance type in the catalog.
func instanceOf(name string) (Instance, bool) {
	i := slices.IndexFunc(instances, func(i Instance) bool { return i.Type == name })
	if i < 0 {
		return Instance{}, false
	}
	return instances[i], true
}

// sameSize: a pod that fits on one of the two fits on the other, and the
// autoscaler may take either for the other.
func (i Instance) sameSize(other Instance) bool {
	return i.VCPU == other.VCPU && i.MiB == other.MiB && i.GPUs == other.GPUs && i.GPU == other.GPU
}

func instanceTypes() []string {
	names := make([]string, len(instances))
	for i, instance := range instances {
		names[i] = instance.Type
	}
	return names
}
