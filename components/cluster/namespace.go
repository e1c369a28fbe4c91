package cluster

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"caravan.dev/caravan/components/internal/object"
)

// part names the objects that belong to no workload.
const part = "namespace"

// podSecurityLevel is the strictest of the Pod Security standards: non-root, no
// capabilities, a seccomp profile. A pod that does not meet it is not created.
const podSecurityLevel = "restricted"

// Namespace is the application's namespace.
func Namespace(name string) *corev1.Namespace {
	meta := object.Meta("", name, part)
	for _, mode := range []string{"enforce", "warn", "audit"} {
		meta.Labels["pod-security.kubernetes.io/"+mode] = podSecurityLevel
	}
	return &corev1.Namespace{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: meta,
	}
}

// DefaultDeny forbids all traffic from and to the pods of the namespace. Each
// component adds the paths that it needs. The kubelet's probes and a port-forward
// come from the pod's own node and pass.
func DefaultDeny(namespace string) *networkingv1.NetworkPolicy {
	return networkPolicy(namespace, "default-deny", networkingv1.NetworkPolicySpec{
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
	})
}

// AllowDNS lets every pod of the namespace ask the cluster's DNS servers.
func AllowDNS(namespace string) *networkingv1.NetworkPolicy {
	dns := intstr.FromInt32(53)
	return networkPolicy(namespace, "allow-dns", networkingv1.NetworkPolicySpec{
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
		Egress: []networkingv1.NetworkPolicyEgressRule{{
			Ports: []networkingv1.NetworkPolicyPort{
				{Protocol: new(corev1.ProtocolUDP), Port: &dns},
				{Protocol: new(corev1.ProtocolTCP), Port: &dns},
			},
			To: []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{
				MatchLabels: map[string]string{corev1.LabelMetadataName: metav1.NamespaceSystem},
			}}},
		}},
	})
}

func networkPolicy(namespace, name string, spec networkingv1.NetworkPolicySpec) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: object.Meta(namespace, name, part),
		Spec:       spec,
	}
}
