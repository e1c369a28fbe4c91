package stacks

// Everything that is fetched from outside is pinned here.

// kedaChart is the KEDA chart's version; KEDA 2.20 supports Kubernetes 1.33 to 1.35.
const kedaChart = "2.20.2"

// images are the references that a cluster of this kind can pull.
func (k ClusterKind) images() Images {
	if k == Embedded {
		// Built on the spot from Debian's packages and Go modules: no registry serves them.
		return Images{
			Bento:   "caravan.local/bento:1.20.0",
			HAProxy: "caravan.local/haproxy:2.6.12",
			Ollama:  "caravan.local/ollama:0.17.4",
			Redis:   "caravan.local/redis:7.0.15",
		}
	}
	return Images{
		Bento:   "ghcr.io/warpstreamlabs/bento:1.20.0",
		HAProxy: "docker.io/library/haproxy:3.0.21-alpine",
		Ollama:  "docker.io/ollama/ollama:0.17.4",
		Redis:   "docker.io/library/redis:7.4.7-alpine",
	}
}
