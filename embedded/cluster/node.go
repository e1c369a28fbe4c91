package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"caravan.dev/embedded/images"
	"caravan.dev/embedded/supervise"
	"caravan.dev/embedded/toolchain"
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
	if err := n.makeMounts(ctx); err != nil {
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
	return images.Image{Name: "pause", Tag: toolchain.KubernetesVersion}.Reference()
}

// inside runs a command in the node's network and mounts. Not `ip netns exec`,
// which also mounts a fresh /sys and so hides the cgroups.
func (n Node) inside(command ...string) []string {
	return append([]string{"nsenter", "--net=/run/netns/" + n.namespace(), "--mount=" + n.mountNamespace(), "--"}, command...)
}

// fixedFolders are where containerd, runc, kubelet and CNI write whatever their
// configuration says. Each node has its own.
var fixedFolders = []string{"/run/containerd", "/var/lib/containerd", "/var/lib/kubelet", "/var/lib/cni", "/var/log/pods", "/var/log/containers", "/opt/containerd"}

// makeMounts gives the node a mount namespace: what its processes mount vanishes
// with it, and their fixed folders are the node's own, not the machine's.
func (n Node) makeMounts(ctx context.Context) error {
	dir := filepath.Dir(n.mountNamespace())
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// A namespace can be pinned to a file only where mounts do not propagate.
	if exec.CommandContext(ctx, "mountpoint", "-q", dir).Run() != nil {
		if err := runAll(ctx, fmt.Sprintf("mount --bind %s %s", dir, dir), "mount --make-private "+dir); err != nil {
			return err
		}
	}
	if err := os.WriteFile(n.mountNamespace(), nil, 0o600); err != nil {
		return err
	}
	if err := runAll(ctx, "unshare --propagation=private --mount="+n.mountNamespace()+" true"); err != nil {
		return fmt.Errorf("making the mount namespace of %s: %w", n.Name(), err)
	}
	for _, folder := range fixedFolders {
		own := n.dir("folders", folder)
		if err := os.MkdirAll(own, 0o755); err != nil {
			return err
		}
		if err := n.cover(ctx, own, folder); err != nil {
			return err
		}
	}
	_, err := run(ctx, "nsenter", "--mount="+n.mountNamespace(), "--", "mount", "--make-rshared", "/")
	return err
}

// cover lays a folder of the node's over one of the machine's, which is made
// for the time that it takes if the machine has none.
func (n Node) cover(ctx context.Context, own, folder string) error {
	if _, err := os.Stat(folder); os.IsNotExist(err) {
		if err := errors.Join(os.MkdirAll(folder, 0o755), os.MkdirAll(state("made"), 0o700)); err != nil {
			return err
		}
		if err := os.WriteFile(state("made", strings.ReplaceAll(folder, "/", "%")), []byte(folder), 0o600); err != nil {
			return err
		}
	}
	_, err := run(ctx, "nsenter", "--mount="+n.mountNamespace(), "--", "mount", "--bind", own, folder)
	return err
}

// removeMadeFolders removes the folders that nodes had to make, while they are empty.
func removeMadeFolders() error {
	made, err := filepath.Glob(state("made", "*"))
	if err != nil {
		return err
	}
	for _, file := range made {
		folder, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		_ = os.Remove(string(folder)) // somebody else may use it by now
	}
	return nil
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
	ns := n.namespace()
	if err := runAll(ctx,
		"ip netns add "+ns,
		fmt.Sprintf("ip link add %s type veth peer name %s netns %s", n.hostEnd(), n.nodeEnd(), ns),
		fmt.Sprintf("ip link set %s master %s up", n.hostEnd(), bridge),
		fmt.Sprintf("ip -n %s link set lo up", ns),
		fmt.Sprintf("ip -n %s addr add %s/24 dev %s", ns, n.Address(), n.nodeEnd()),
		fmt.Sprintf("ip -n %s link set %s up", ns, n.nodeEnd()),
		fmt.Sprintf("ip -n %s route add default via %s", ns, hostAddress),
		fmt.Sprintf("ip route add %s via %s", n.PodCIDR(), n.Address()),
		fmt.Sprintf("nsenter --net=/run/netns/%s -- sysctl -q -w net.ipv4.ip_forward=1", ns),
	); err != nil {
		return fmt.Errorf("making the network of %s: %w", n.Name(), err)
	}
	return nil
}

// freeNetworks refuses when the machine uses addresses of the cluster for something else.
func freeNetworks(ctx context.Context) error {
	routes, err := run(ctx, "ip", "-4", "route", "show")
	if err != nil {
		return err
	}
	for line := range strings.Lines(routes) {
		for _, prefix := range []string{"10.89.0.", "10.244.", "10.96."} {
			if strings.HasPrefix(line, prefix) {
				return fmt.Errorf("the machine routes addresses that the cluster needs (%s): remove what uses them, another cluster or container network", strings.TrimSpace(line))
			}
		}
	}
	return nil
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
