package worker

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"caravan.dev/caravan/components/internal/object"
	"caravan.dev/caravan/components/queue"
)

const (
	bentoDir    = "/etc/bento"
	bentoFile   = "bento.yaml"
	haproxyDir  = "/etc/haproxy"
	haproxyFile = "haproxy.cfg"
)

// The ranges that are not the Internet: private, link-local (where clouds serve
// their machines' credentials) and shared addresses.
var (
	insideV4 = []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"}
	insideV6 = []string{"fc00::/7", "fe80::/10"}
)

// ConfigMaps are the texts that a worker's pod mounts.
type ConfigMaps struct {
	Bento, HAProxy *corev1.ConfigMap
}

// Configs are named after their content, so that a changed text rolls the pods.
func Configs(args *Args) ConfigMaps {
	return ConfigMaps{
		Bento: object.ConfigMap(args.Namespace, Name+"-bento", Name,
			map[string]string{bentoFile: args.Pipeline}),
		HAProxy: object.ConfigMap(args.Namespace, Name+"-haproxy", Name,
			map[string]string{haproxyFile: HAProxyConfig(args.Plan.Slots, args.Timing.TMax)}),
	}
}

// NetworkPolicy lets anything in the cluster read a worker's metrics, and the
// worker talk to the queue. A model that is not in the image comes over HTTPS
// from the Internet, and from there only.
func NetworkPolicy(args *Args) *networkingv1.NetworkPolicy {
	spec := networkingv1.NetworkPolicySpec{
		PodSelector: metav1.LabelSelector{MatchLabels: object.Selector(Name)},
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
		Ingress: []networkingv1.NetworkPolicyIngressRule{{
			Ports: tcp(BentoPort, MetricsPort),
			From:  []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}}},
		}},
		Egress: []networkingv1.NetworkPolicyEgressRule{{
			Ports: tcp(queue.Port),
			To: []networkingv1.NetworkPolicyPeer{{
				PodSelector: &metav1.LabelSelector{MatchLabels: object.Selector(queue.Name)},
			}},
		}},
	}
	if !args.Plan.Model.InImage {
		spec.Egress = append(spec.Egress, networkingv1.NetworkPolicyEgressRule{
			Ports: tcp(443),
			To: []networkingv1.NetworkPolicyPeer{
				{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: slices.Clone(insideV4)}},
				{IPBlock: &networkingv1.IPBlock{CIDR: "::/0", Except: slices.Clone(insideV6)}},
			},
		})
	}
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: object.Meta(args.Namespace, Name, Name),
		Spec:       spec,
	}
}

func tcp(ports ...int32) []networkingv1.NetworkPolicyPort {
	out := make([]networkingv1.NetworkPolicyPort, 0, len(ports))
	for _, port := range ports {
		out = append(out, networkingv1.NetworkPolicyPort{
			Protocol: new(corev1.ProtocolTCP), Port: new(intstr.FromInt32(port)),
		})
	}
	return out
}
