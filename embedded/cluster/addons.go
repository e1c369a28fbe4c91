package cluster

import (
	"bytes"
	"context"
	"fmt"

	"caravan.dev/embedded/manifests"
)

// installAddons applies DNS, metrics and volumes and waits until they serve.
func (c *Cluster) installAddons(ctx context.Context) error {
	metrics, err := c.Manifests.MetricsServer(ctx)
	if err != nil {
		return err
	}
	volumes, err := c.Manifests.LocalPath(ctx)
	if err != nil {
		return err
	}
	all := bytes.Join([][]byte{manifests.KubeletAccess, c.Manifests.CoreDNS(dnsAddress, clusterDomain), metrics, volumes}, []byte("\n---\n"))
	if _, err := c.kubectl(ctx, all, "apply", "--server-side", "--filename=-"); err != nil {
		return fmt.Errorf("applying the add-ons: %w", err)
	}
	for _, d := range []struct{ namespace, name string }{
		{"kube-system", "coredns"}, {"kube-system", "metrics-server"}, {"local-path-storage", "local-path-provisioner"},
	} {
		if _, err := c.kubectl(ctx, nil, "rollout", "status", "--request-timeout=0", "--timeout=90s", "--namespace="+d.namespace, "deployment/"+d.name); err != nil {
			return fmt.Errorf("waiting for %s: %w", d.name, err)
		}
	}
	return nil
}
