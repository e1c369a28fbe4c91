package cluster

import (
	"reflect"
	"testing"
)

func TestEverythingOfANodeFollowsFromItsIndex(t *testing.T) {
	a, b := Node{0}, Node{3}
	got := []string{a.Name(), a.Address(), a.PodCIDR(), b.Name(), b.Address(), b.PodCIDR(), b.service("kubelet"), b.cgroup()}
	want := []string{"node-0", "10.89.0.2", "10.244.0.0/24", "node-3", "10.89.0.5", "10.244.3.0/24", "node-3-kubelet", "/caravan/node-3"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("nodes are %q, want %q", got, want)
	}
}

func TestNodesAreFoundByTheirServices(t *testing.T) {
	got := nodesOf([]string{"etcd", "kube-apiserver", "node-0-containerd", "node-0-kubelet", "node-12-containerd"})
	if want := []Node{{0}, {12}}; !reflect.DeepEqual(got, want) {
		t.Errorf("nodes are %v, want %v", got, want)
	}
}

func TestOnlyTheClustersOwnProcessesAreEnded(t *testing.T) {
	for _, test := range []struct {
		name      string
		arguments []string
		folder    string
		want      bool
	}{
		{"its kubelet", []string{"/cache/kubelet", "--config=/var/lib/caravan/nodes/node-0/kubelet.yaml"}, "/", true},
		{"its shim", []string{"/usr/bin/containerd-shim-runc-v2", "-namespace", "k8s.io", "-address", "/run/caravan/node-0.sock", "-id", "x"}, "/", true},
		{"its supervisor", []string{"s6-svscan", "/var/lib/caravan/services"}, "/", true},
		{"the supervisor of a service", []string{"s6-supervise", "etcd"}, "/var/lib/caravan/services/etcd", true},
		{"another supervisor", []string{"s6-supervise", "etcd"}, "/srv/services/etcd", false},
		{"an import of a killed start", []string{"ctr", "--address", "/run/caravan/node-0.sock", "images", "import", "x.tar"}, "/", true},
		{"the machine's containerd", []string{"/usr/bin/containerd"}, "/", false},
		{"an editor on its files", []string{"vim", "/var/lib/caravan/kubeadm.yaml"}, "/", false},
		{"a shell that names its paths", []string{"bash", "-c", "ls /var/lib/caravan/"}, "/", false},
	} {
		if got := ofCluster(test.arguments, test.folder); got != test.want {
			t.Errorf("%s: ended is %t, want %t", test.name, got, test.want)
		}
	}
}
