// Package cluster runs a real Kubernetes on one machine: a control plane on the
// host, and nodes that each live in a network namespace of their own with their
// own containerd, kubelet and kube-proxy, so that nothing of a node (iptables
// rules, routes, interfaces) outlives its namespace.
package cluster

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Where the cluster lives. One machine has one embedded cluster, whichever
// checkout it was started from.
const (
	// StateDir holds what may be large: etcd, images, volumes, logs.
	StateDir = "/var/lib/caravan"
	// RunDir holds sockets and namespaces: paths of sockets must be short (108 bytes),
	// and nothing in /run may be executable.
	RunDir = "/run/caravan"
)

// The cluster's addresses. Nothing listens on any other address of the machine.
const (
	// bridge joins the nodes; its address is the control plane's.
	bridge        = "caravan0"
	hostAddress   = "10.89.0.1"
	nodeNetwork   = "10.89.0.0/24"
	podNetwork    = "10.244.0.0/16"
	serviceCIDR   = "10.96.0.0/16"
	dnsAddress    = "10.96.0.10"
	clusterDomain = "cluster.local"
	apiPort       = 6443
	etcdPort      = 2379
	etcdPeerPort  = 2380
)

var ports = []int{apiPort, etcdPort, etcdPeerPort, controllerPort, schedulerPort}

const (
	controllerPort = 10257
	schedulerPort  = 10259
)

// ContextName is the name of the cluster's context in its kubeconfig.
const ContextName = "caravan-embedded"

func state(parts ...string) string { return filepath.Join(append([]string{StateDir}, parts...)...) }

func pki(file string) string        { return state("pki", file) }
func kubeconfig(user string) string { return state("kubeconfig", user+".conf") }

// Node is one node of the cluster: everything about it follows from its index.
type Node struct {
	// Index is 0 for the first node; it gives the addresses.
	Index int
}

// Name is the node's name in the cluster.
func (n Node) Name() string { return fmt.Sprintf("node-%d", n.Index) }

// Address is the node's address on the bridge.
func (n Node) Address() string { return fmt.Sprintf("10.89.0.%d", n.Index+2) }

// PodCIDR is the node's share of the pod network.
func (n Node) PodCIDR() string { return fmt.Sprintf("10.244.%d.0/24", n.Index) }

// namespace names the node's network namespace; mountNamespace is the file that holds its mounts.
func (n Node) namespace() string      { return "caravan-" + n.Name() }
func (n Node) mountNamespace() string { return filepath.Join(RunDir, "mounts", n.Name()) }

// hostEnd and nodeEnd are the two ends of the cable between bridge and node.
func (n Node) hostEnd() string { return fmt.Sprintf("caravan-n%d", n.Index) }
func (n Node) nodeEnd() string { return "eth0" }

// cgroup holds all pods of the node.
func (n Node) cgroup() string { return podsCgroup + "/" + n.Name() }

func (n Node) dir(parts ...string) string {
	return state(append([]string{"nodes", n.Name()}, parts...)...)
}

func (n Node) socket() string { return filepath.Join(RunDir, n.Name()+".sock") }

// service names one of the node's supervised processes.
func (n Node) service(component string) string { return n.Name() + "-" + component }

// nodesOf are the nodes that have service folders.
func nodesOf(services []string) []Node {
	var nodes []Node
	for i := 0; i < 250; i++ {
		for _, s := range services {
			if strings.HasPrefix(s, Node{i}.Name()+"-") {
				nodes = append(nodes, Node{i})
				break
			}
		}
	}
	return nodes
}
