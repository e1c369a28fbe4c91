package stacks

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

const mebi = 1 << 20

// gpuResource is the extended resource that the NVIDIA device plugin offers.
const gpuResource = corev1.ResourceName("nvidia.com/gpu")

// Room is an amount of each resource that the scheduler counts.
type Room struct {
	MilliCPU, MiB, Pods int
	// GPUs counts shares: devices times time-slices.
	GPUs int
}

// daemonSets is what every worker node keeps free for the pods that run on
// each node: CNI, kube-proxy, CSI driver, node exporter, a log shipper, the
// device plugin with feature discovery. Their usual requests add up to about
// 300 m and 500 MiB.
var daemonSets = Room{MilliCPU: 400, MiB: 768, Pods: 10}

// Allocatable is what pods can have on a node of this type with Amazon Linux
// 2023 once its kubelet and system have theirs. sharesPerGPU is 1 without
// time-slicing.
//
// Memory: the kernel sees 7.5 % less than EC2 states; the kubelet reserves
// 11 MiB a pod and 255 MiB, and evicts below 100 MiB. CPU: see reservedMilliCPU.
func (i Instance) Allocatable(sharesPerGPU int) Room {
	return Room{
		MilliCPU: i.VCPU*1000 - reservedMilliCPU(i.VCPU),
		MiB:      i.MiB*925/1000 - (11*i.MaxPods + 255 + 100),
		Pods:     i.MaxPods,
		GPUs:     i.GPUs * sharesPerGPU,
	}
}

// reservedMilliCPU is the kubelet's share on EKS: 6 % of the first core, 1 % of
// the second, 0.5 % of the next two, 0.25 % of each beyond; rounded up.
func reservedMilliCPU(cores int) int {
	tenths := 0
	for core := range cores {
		switch {
		case core == 0:
			tenths += 600
		case core == 1:
			tenths += 100
		case core < 4:
			tenths += 50
		default:
			tenths += 25
		}
	}
	return (tenths + 9) / 10
}

// minus is what other leaves; GPUs are nobody's but the workers'.
func (r Room) minus(other Room) Room {
	return Room{
		MilliCPU: r.MilliCPU - other.MilliCPU,
		MiB:      r.MiB - other.MiB,
		Pods:     r.Pods - other.Pods,
		GPUs:     r.GPUs - other.GPUs,
	}
}

// fit is how many pods find room and the resource that ends first, in words.
// A pod's resource of 0 sets no limit.
func (r Room) fit(pod Room) (pods int, limit string) {
	pods = most
	for _, c := range []struct {
		have, need  int
		name, units string
	}{
		{r.MilliCPU, pod.MilliCPU, "cpu", "m"},
		{r.MiB, pod.MiB, "memory", "Mi"},
		{r.Pods, pod.Pods, "pods", ""},
		{r.GPUs, pod.GPUs, string(gpuResource), ""},
	} {
		if c.need > 0 && max(c.have, 0)/c.need < pods {
			pods = max(c.have, 0) / c.need
			limit = fmt.Sprintf("%s: %d%s free, %d%s each", c.name, c.have, c.units, c.need, c.units)
		}
	}
	return pods, limit
}

// list is the room as Kubernetes writes it.
func (r Room) list() corev1.ResourceList {
	list := corev1.ResourceList{
		corev1.ResourceCPU:    milliCPU(r.MilliCPU),
		corev1.ResourceMemory: mebibytes(r.MiB),
		corev1.ResourcePods:   *resource.NewQuantity(int64(r.Pods), resource.DecimalSI),
	}
	if r.GPUs > 0 {
		list[gpuResource] = *resource.NewQuantity(int64(r.GPUs), resource.DecimalSI)
	}
	return list
}

func milliCPU(n int) resource.Quantity {
	return *resource.NewMilliQuantity(int64(n), resource.DecimalSI)
}

func mebibytes(n int) resource.Quantity {
	return *resource.NewQuantity(int64(n)*mebi, resource.BinarySI)
}

// inMiB rounds up.
func inMiB(q resource.Quantity) int {
	return int((q.Value() + mebi - 1) / mebi)
}
