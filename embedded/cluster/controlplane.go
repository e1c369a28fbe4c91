package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"caravan.dev/embedded/supervise"
	"caravan.dev/embedded/toolchain"
)

// kubeadmConfig makes kubeadm issue the certificates and kubeconfigs of the cluster.
const kubeadmConfig = `apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: %[1]s, bindPort: %[2]d}
nodeRegistration: {name: control-plane, criSocket: "unix:///none"}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v%[3]s
certificatesDir: %[4]s
encryptionAlgorithm: ECDSA-P256
controlPlaneEndpoint: %[1]s:%[2]d
networking: {serviceSubnet: %[5]s, podSubnet: %[6]s, dnsDomain: %[7]s}
apiServer: {certSANs: [%[1]s, 127.0.0.1, localhost]}
etcd: {local: {serverCertSANs: [%[1]s], peerCertSANs: [%[1]s]}}
`

// issue makes all certificates, keys and kubeconfigs of the control plane.
func (c *Cluster) issue(ctx context.Context) error {
	config := fmt.Sprintf(kubeadmConfig, hostAddress, apiPort, toolchain.KubernetesVersion, pki(""), serviceCIDR, podNetwork, clusterDomain)
	if err := os.MkdirAll(filepath.Dir(kubeconfig("x")), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(c.kubeadmFile(), []byte(config), 0o600); err != nil {
		return err
	}
	for _, phase := range []string{"certs all", "kubeconfig super-admin", "kubeconfig admin", "kubeconfig controller-manager", "kubeconfig scheduler"} {
		args := append([]string{"init", "phase"}, strings.Fields(phase)...)
		args = append(args, "--config", c.kubeadmFile())
		if strings.HasPrefix(phase, "kubeconfig") {
			args = append(args, "--kubeconfig-dir", filepath.Dir(kubeconfig("x")))
		}
		if _, err := run(ctx, c.Built["kubeadm"], args...); err != nil {
			return fmt.Errorf("issuing certificates: %w", err)
		}
	}
	return c.issueKubeconfig(ctx, "kube-proxy", "system:kube-proxy")
}

// issueKubeconfig makes a kubeconfig for a user with a certificate of the cluster's authority.
func (c *Cluster) issueKubeconfig(ctx context.Context, file, user string, groups ...string) error {
	args := []string{"kubeconfig", "user", "--config", c.kubeadmFile(), "--client-name", user}
	for _, g := range groups {
		args = append(args, "--org", g)
	}
	content, err := run(ctx, c.Built["kubeadm"], args...)
	if err != nil {
		return fmt.Errorf("issuing a kubeconfig for %s: %w", user, err)
	}
	return os.WriteFile(kubeconfig(file), []byte(content), 0o600)
}

func (c *Cluster) kubeadmFile() string { return state("kubeadm.yaml") }

// controlPlane are the processes of the control plane. All listen on the bridge's address only.
func (c *Cluster) controlPlane() []supervise.Service {
	etcd := fmt.Sprintf("https://%s:%d", hostAddress, etcdPort)
	peer := fmt.Sprintf("https://%s:%d", hostAddress, etcdPeerPort)
	return []supervise.Service{
		{Name: "etcd", Command: []string{c.Built["etcd"], "--name=control-plane", "--data-dir=" + state("etcd"),
			"--unsafe-no-fsync", // a throw-away cluster: speed before durability
			"--listen-client-urls=" + etcd, "--advertise-client-urls=" + etcd,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=control-plane=" + peer,
			"--client-cert-auth", "--trusted-ca-file=" + pki("etcd/ca.crt"), "--cert-file=" + pki("etcd/server.crt"), "--key-file=" + pki("etcd/server.key"),
			"--peer-client-cert-auth", "--peer-trusted-ca-file=" + pki("etcd/ca.crt"), "--peer-cert-file=" + pki("etcd/peer.crt"), "--peer-key-file=" + pki("etcd/peer.key")}},
		{Name: "kube-apiserver", Command: []string{c.Built["kube-apiserver"],
			"--bind-address=" + hostAddress, "--advertise-address=" + hostAddress, fmt.Sprintf("--secure-port=%d", apiPort),
			"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--service-cluster-ip-range=" + serviceCIDR,
			"--etcd-servers=" + etcd, "--etcd-cafile=" + pki("etcd/ca.crt"), "--etcd-certfile=" + pki("apiserver-etcd-client.crt"), "--etcd-keyfile=" + pki("apiserver-etcd-client.key"),
			"--client-ca-file=" + pki("ca.crt"), "--tls-cert-file=" + pki("apiserver.crt"), "--tls-private-key-file=" + pki("apiserver.key"),
			"--kubelet-client-certificate=" + pki("apiserver-kubelet-client.crt"), "--kubelet-client-key=" + pki("apiserver-kubelet-client.key"),
			"--kubelet-preferred-address-types=InternalIP",
			"--service-account-issuer=https://kubernetes.default.svc." + clusterDomain, "--service-account-key-file=" + pki("sa.pub"), "--service-account-signing-key-file=" + pki("sa.key"),
			"--requestheader-client-ca-file=" + pki("front-proxy-ca.crt"), "--requestheader-allowed-names=front-proxy-client",
			"--requestheader-extra-headers-prefix=X-Remote-Extra-", "--requestheader-group-headers=X-Remote-Group", "--requestheader-username-headers=X-Remote-User",
			"--proxy-client-cert-file=" + pki("front-proxy-client.crt"), "--proxy-client-key-file=" + pki("front-proxy-client.key"),
			"--enable-aggregator-routing", // the host has no kube-proxy: reach webhooks and extension APIs by pod address
			"--profiling=false"}},
		{Name: "kube-controller-manager", Command: []string{c.Built["kube-controller-manager"],
			"--bind-address=" + hostAddress, "--kubeconfig=" + kubeconfig("controller-manager"),
			"--authentication-kubeconfig=" + kubeconfig("controller-manager"), "--authorization-kubeconfig=" + kubeconfig("controller-manager"),
			"--service-account-private-key-file=" + pki("sa.key"), "--root-ca-file=" + pki("ca.crt"), "--use-service-account-credentials",
			"--cluster-signing-cert-file=" + pki("ca.crt"), "--cluster-signing-key-file=" + pki("ca.key"), "--leader-elect=false", "--profiling=false"}},
		{Name: "kube-scheduler", Command: []string{c.Built["kube-scheduler"],
			"--bind-address=" + hostAddress, "--kubeconfig=" + kubeconfig("scheduler"),
			"--authentication-kubeconfig=" + kubeconfig("scheduler"), "--authorization-kubeconfig=" + kubeconfig("scheduler"), "--leader-elect=false", "--profiling=false"}},
	}
}

func (c *Cluster) startControlPlane(ctx context.Context) error {
	if err := c.Supervisor.Start(); err != nil {
		return err
	}
	if err := c.Supervisor.Add(c.controlPlane()...); err != nil {
		return err
	}
	return await(ctx, time.Minute, "the API server", func() error { return c.apiReady(ctx) })
}

func (c *Cluster) apiReady(ctx context.Context) error {
	_, err := c.kubectl(ctx, nil, "get", "--raw", "/readyz")
	return err
}

// kubectl runs kubectl as the cluster's administrator.
func (c *Cluster) kubectl(ctx context.Context, input []byte, args ...string) (string, error) {
	return runInput(ctx, input, c.Built["kubectl"], append([]string{"--kubeconfig", kubeconfig("super-admin"), "--request-timeout=10s"}, args...)...)
}
