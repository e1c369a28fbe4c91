package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"caravan.dev/embedded/images"
	"caravan.dev/embedded/supervise"
)

// pluginDir is where Debian's containernetworking-plugins lie.
const pluginDir = "/usr/lib/cni"

// containerdConfig: the two switches at the end make it work where the machine
// itself may not raise priorities or lacks the hugetlb controller.
const containerdConfig = `version = 2
root = "%[1]s"
state = "%[2]s"
[grpc]
  address = "%[3]s"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "%[4]s"
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true
  disable_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "%[5]s"
    conf_dir = "%[6]s"
`

// cniConfig gives each pod a routed cable of its own: with ptp, unlike a bridge,
// all traffic between pods passes the node's rules, with no kernel module.
const cniConfig = `{"cniVersion": "1.0.0", "name": "caravan-%[1]s", "plugins": [
  {"type": "ptp", "ipMasq": false, "ipam": {"type": "host-local", "dataDir": "%[2]s", "ranges": [[{"subnet": "%[3]s"}]], "routes": [{"dst": "0.0.0.0/0"}]}}
]}
`

// kubeletConfig: images are imported, not pulled, so they are never collected;
// the disk belongs to the machine's owner, so it never evicts.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: %[1]s}}
authorization: {mode: Webhook}
address: %[2]s
healthzBindAddress: 127.0.0.1
containerRuntimeEndpoint: unix://%[3]s
cgroupDriver: cgroupfs
cgroupRoot: %[4]s
failCgroupV1: false
failSwapOn: false
clusterDNS: [%[5]s]
clusterDomain: %[6]s
resolvConf: %[7]s
volumePluginDir: %[8]s
podLogsDir: %[9]s
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 100Mi, nodefs.available: 1%%, imagefs.available: 1%%}
registerNode: true
`

func (c *Cluster) startNode(ctx context.Context, n Node) error {
	if err := n.writeConfig(); err != nil {
		return err
	}
	if err := n.makeNetwork(ctx); err != nil {
		return err
	}
	if err := makeCgroups(n.cgroup()); err != nil {
		return err
	}
	if err := c.issueKubeconfig(ctx, n.Name(), "system:node:"+n.Name(), "system:nodes"); err != nil {
		return err
	}
	if err := c.Supervisor.Add(n.containerd()); err != nil {
		return err
	}
	// kubelet exits when the socket is not there yet.
	if err := await(ctx, 30*time.Second, "containerd", func() error { return n.containerdReady(ctx) }); err != nil {
		return err
	}
	if err := n.importImages(ctx, c.ImageArchive); err != nil {
		return err
	}
	if err := c.Supervisor.Add(c.kubelet(n), c.kubeProxy(n)); err != nil {
		return err
	}
	return await(ctx, time.Minute, n.Name()+" to be Ready", func() error {
		_, err := c.kubectl(ctx, nil, "wait", "--for=condition=Ready", "--timeout=1s", "node/"+n.Name())
		return err
	})
}

func (n Node) writeConfig() error {
	files := map[string]string{
		"containerd.toml":         fmt.Sprintf(containerdConfig, n.dir("containerd"), n.runDir(), n.socket(), pauseImage(), pluginDir, n.dir("cni")),
		"cni/10-caravan.conflist": fmt.Sprintf(cniConfig, n.Name(), n.dir("addresses"), n.PodCIDR()),
		"kubelet.yaml":            fmt.Sprintf(kubeletConfig, pki("ca.crt"), n.Address(), n.socket(), n.cgroup(), dnsAddress, clusterDomain, n.dir("resolv.conf"), n.dir("volume-plugins"), n.dir("pod-logs")),
		"resolv.conf":             "", // cluster DNS answers for the cluster alone
		"volumes/.keep":           "",
	}
	for name, content := range files {
		path := n.dir(name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (n Node) runDir() string { return filepath.Join(RunDir, n.Name()) }

func pauseImage() string {
	return images.Image{Name: "pause", Tag: kubernetesVersion}.Reference()
}

// inside runs a command in the node's network. Not `ip netns exec`, which also
// mounts a fresh /sys and so hides the cgroups.
func (n Node) inside(command ...string) []string {
	return append([]string{"nsenter", "--net=/run/netns/" + n.namespace(), "--"}, command...)
}

func (n Node) containerd() supervise.Service {
	return supervise.Service{Name: n.service("containerd"), Command: n.inside("containerd", "--config", n.dir("containerd.toml"))}
}

func (c *Cluster) kubelet(n Node) supervise.Service {
	return supervise.Service{Name: n.service("kubelet"), Command: n.inside(c.Built["kubelet"], "--config="+n.dir("kubelet.yaml"),
		"--kubeconfig="+kubeconfig(n.Name()), "--hostname-override="+n.Name(), "--node-ip="+n.Address(),
		"--root-dir="+n.dir("kubelet"), "--cert-dir="+n.dir("kubelet", "pki"))}
}

func (c *Cluster) kubeProxy(n Node) supervise.Service {
	return supervise.Service{Name: n.service("kube-proxy"), Command: n.inside(c.Built["kube-proxy"], "--kubeconfig="+kubeconfig("kube-proxy"),
		"--hostname-override="+n.Name(), "--proxy-mode=iptables", "--conntrack-max-per-core=0",
		"--healthz-bind-address=127.0.0.1:10256", "--metrics-bind-address=127.0.0.1:10249")}
}

func (n Node) containerdReady(ctx context.Context) error {
	_, err := run(ctx, "ctr", "--address", n.socket(), "version")
	return err
}

func (n Node) importImages(ctx context.Context, archive string) error {
	_, err := run(ctx, "ctr", "--address", n.socket(), "--namespace", "k8s.io", "images", "import", archive)
	return err
}

// makeNetwork gives the node a namespace with a cable to the bridge, and routes in both directions.
func (n Node) makeNetwork(ctx context.Context) error {
	ns, inside := n.namespace(), strings.Join(n.inside(), " ")
	if err := runAll(ctx,
		"ip netns add "+ns,
		fmt.Sprintf("ip link add %s type veth peer name %s netns %s", n.hostEnd(), n.nodeEnd(), ns),
		fmt.Sprintf("ip link set %s master %s up", n.hostEnd(), bridge),
		fmt.Sprintf("ip -n %s link set lo up", ns),
		fmt.Sprintf("ip -n %s addr add %s/24 dev %s", ns, n.Address(), n.nodeEnd()),
		fmt.Sprintf("ip -n %s link set %s up", ns, n.nodeEnd()),
		fmt.Sprintf("ip -n %s route add default via %s", ns, hostAddress),
		fmt.Sprintf("ip route replace %s via %s", n.PodCIDR(), n.Address()),
	); err != nil {
		return fmt.Errorf("making the network of %s: %w", n.Name(), err)
	}
	return runAll(ctx, inside+" sysctl -q -w net.ipv4.ip_forward=1")
}

func makeBridge(ctx context.Context) error {
	err := runAll(ctx,
		"ip link add "+bridge+" type bridge",
		fmt.Sprintf("ip addr add %s/24 dev %s", hostAddress, bridge),
		"ip link set "+bridge+" up")
	if err != nil {
		return fmt.Errorf("making the bridge between the nodes: %w", err)
	}
	return nil
}
