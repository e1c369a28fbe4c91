package stacks

import (
	"slices"
	"testing"
)

// allocatable is what a node of each type offers to pods; the rows of c7i, m7i,
// g4dn, g5, g6, g6e and p4d were compared with what such nodes report.
var allocatable = []struct {
	types                []string
	vCPU, mib, gpus, gpu int
	pods                 int
	milliCPU, freeMiB    int
}{
	{[]string{"c7i.xlarge", "c7a.xlarge"}, 4, 8192, 0, 0, 58, 3920, 6584},
	{[]string{"c7i.2xlarge", "c7a.2xlarge"}, 8, 16384, 0, 0, 58, 7910, 14162},
	{[]string{"c7i.4xlarge", "c7a.4xlarge"}, 16, 32768, 0, 0, 234, 15890, 27381},
	{[]string{"c7i.8xlarge", "c7a.8xlarge"}, 32, 65536, 0, 0, 234, 31850, 57691},
	{[]string{"m7i.xlarge", "m7a.xlarge"}, 4, 16384, 0, 0, 58, 3920, 14162},
	{[]string{"m7i.2xlarge", "m7a.2xlarge"}, 8, 32768, 0, 0, 58, 7910, 29317},
	{[]string{"m7i.4xlarge", "m7a.4xlarge"}, 16, 65536, 0, 0, 234, 15890, 57691},
	{[]string{"m7i.8xlarge", "m7a.8xlarge"}, 32, 131072, 0, 0, 234, 31850, 118312},
	{[]string{"g4dn.xlarge"}, 4, 16384, 1, 16384, 29, 3920, 14481},
	{[]string{"g5.xlarge", "g6.xlarge"}, 4, 16384, 1, 22888, 58, 3920, 14162},
	{[]string{"g5.2xlarge", "g6.2xlarge"}, 8, 32768, 1, 22888, 58, 7910, 29317},
	{[]string{"g5.4xlarge", "g6.4xlarge"}, 16, 65536, 1, 22888, 234, 15890, 57691},
	{[]string{"g5.12xlarge"}, 48, 196608, 4, 22888, 737, 47810, 173400},
	{[]string{"g6.12xlarge"}, 48, 196608, 4, 22888, 234, 47810, 178933},
	{[]string{"g6e.xlarge"}, 4, 32768, 1, 45776, 58, 3920, 29317},
	{[]string{"g6e.2xlarge"}, 8, 65536, 1, 45776, 58, 7910, 59627},
	{[]string{"p4d.24xlarge"}, 96, 1179648, 8, 40960, 737, 95690, 1082712},
	{[]string{"p5.48xlarge"}, 192, 2097152, 8, 81920, 100, 191450, 1938410},
}

func TestAllocatableIsWhatNodesReport(t *testing.T) {
	seen := 0
	for _, row := range allocatable {
		for _, name := range row.types {
			seen++
			i, ok := instanceOf(name)
			if !ok {
				t.Errorf("%s is not in the catalog", name)
				continue
			}
			if i.VCPU != row.vCPU || i.MiB != row.mib || i.GPUs != row.gpus || i.GPU.MiB != row.gpu || i.MaxPods != row.pods {
				t.Errorf("%s is %+v, want %+v", name, i, row)
			}
			want := Room{MilliCPU: row.milliCPU, MiB: row.freeMiB, Pods: row.pods, GPUs: row.gpus}
			if got := i.Allocatable(1); got != want {
				t.Errorf("%s offers %+v, want %+v", name, got, want)
			}
			if got := i.Allocatable(3).GPUs; got != 3*row.gpus {
				t.Errorf("%s offers %d shares in three slices, want %d", name, got, 3*row.gpus)
			}
		}
	}
	if seen != len(instances) {
		t.Errorf("%d of %d instance types are compared", seen, len(instances))
	}
}

func TestFitIsBoundByTheResourceThatEndsFirst(t *testing.T) {
	node := Room{MilliCPU: 4000, MiB: 8000, Pods: 10, GPUs: 2}
	for _, c := range []struct {
		pod   Room
		want  int
		limit string
	}{
		{Room{MilliCPU: 1500, MiB: 100, Pods: 1}, 2, "cpu: 4000m free, 1500m each"},
		{Room{MilliCPU: 100, MiB: 2500, Pods: 1}, 3, "memory: 8000Mi free, 2500Mi each"},
		{Room{MilliCPU: 1, MiB: 1, Pods: 1}, 10, "pods: 10 free, 1 each"},
		{Room{MilliCPU: 1, MiB: 1, Pods: 1, GPUs: 1}, 2, "nvidia.com/gpu: 2 free, 1 each"},
		{Room{MilliCPU: 4001, MiB: 1, Pods: 1}, 0, "cpu: 4000m free, 4001m each"},
	} {
		if got, limit := node.fit(c.pod); got != c.want || limit != c.limit {
			t.Errorf("%+v fits %d (%s), want %d (%s)", c.pod, got, limit, c.want, c.limit)
		}
	}
	if got, _ := (Room{MilliCPU: -1, MiB: 100, Pods: 1}).fit(Room{MilliCPU: 10, MiB: 1, Pods: 1}); got != 0 {
		t.Errorf("%d pods fit into less than nothing", got)
	}
}

func TestInstancesOfOneFamilyAndSizeAreInterchangeable(t *testing.T) {
	same := func(a, b string) bool {
		i, _ := instanceOf(a)
		j, _ := instanceOf(b)
		return i.sameSize(j)
	}
	if !same("c7i.xlarge", "c7a.xlarge") || same("c7i.xlarge", "m7i.xlarge") || same("g5.xlarge", "g6.xlarge") {
		t.Error("size must compare cores, memory and GPU")
	}
	if names := instanceTypes(); len(slices.Compact(slices.Sorted(slices.Values(names)))) != len(names) {
		t.Error("an instance type is in the catalog twice")
	}
}
