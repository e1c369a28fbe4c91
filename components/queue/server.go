package queue

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"caravan.dev/caravan/components/internal/object"
	"caravan.dev/caravan/stacks"
)

const (
	// Name of the StatefulSet and its Service.
	Name = "queue"
	// Port that Redis listens on.
	Port = 6379
	// ClientLabel marks pods that may talk to the queue; its value is "true".
	ClientLabel = "caravan.dev/queue-client"

	secretName     = Name + "-auth"
	passwordKey    = "password"
	passwordLength = 40

	configDir  = "/etc/redis"
	configFile = "redis.conf"
	authDir    = "/etc/redis-auth"
	aclFile    = "users.acl"
	dataDir    = "/data"
	dataVolume = "data"

	// userID is redis in Debian's and in the published images.
	userID = 999
	// graceSeconds is ample: every acknowledged write is on disk already.
	graceSeconds = 30
	// loadMinutes is how long Redis may take to read its log back after a restart.
	loadMinutes = 15
)

// Config is redis.conf: every write is on disk before it is acknowledged, and
// when memory is full Redis refuses writes instead of dropping messages.
func Config(plan stacks.QueuePlan) string {
	lines := []string{
		fmt.Sprintf("port %d", Port),
		"protected-mode yes",
		"aclfile " + authDir + "/" + aclFile,
		"enable-protected-configs no",
		"enable-debug-command no",
		"enable-module-command no",
		"tcp-keepalive 60",
		"databases 1",
		"dir " + dataDir,
		"save \"\"",
		"appendonly yes",
		"appendfsync always",
		"no-appendfsync-on-rewrite no",
		fmt.Sprintf("maxmemory %d", plan.MaxMemory.Value()),
		"maxmemory-policy noeviction",
	}
	return strings.Join(lines, "\n") + "\n"
}

// ConfigMap holds Config.
func ConfigMap(namespace string, plan stacks.QueuePlan) *corev1.ConfigMap {
	return object.ConfigMap(namespace, Name+"-config", Name, map[string]string{configFile: Config(plan)})
}

// Secret is the queue's Secret without its data, which is known only at run time.
func Secret(namespace string) *corev1.Secret {
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: object.Meta(namespace, secretName, Name),
		Type:       corev1.SecretTypeOpaque,
	}
}

// Service gives the server one address that outlives its pod. While no server is
// ready, connections are refused at once.
func Service(namespace string) *corev1.Service {
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: object.Meta(namespace, Name, Name),
		Spec: corev1.ServiceSpec{
			Selector: object.Selector(Name),
			Ports: []corev1.ServicePort{{
				Name: "redis", Port: Port, TargetPort: intstr.FromString("redis"), Protocol: corev1.ProtocolTCP,
			}},
		},
	}
}

// DisruptionBudget refuses to evict the only server. An eviction would lose
// nothing, but it stops every worker until the volume is attached elsewhere; so
// Cluster Autoscaler leaves the node alone, and who drains it chooses the moment:
// kubectl delete pod queue-0.
func DisruptionBudget(namespace string) *policyv1.PodDisruptionBudget {
	none := intstr.FromInt32(0)
	return &policyv1.PodDisruptionBudget{
		TypeMeta:   metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"},
		ObjectMeta: object.Meta(namespace, Name, Name),
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable: &none,
			Selector:       &metav1.LabelSelector{MatchLabels: object.Selector(Name)},
		},
	}
}

// NetworkPolicy admits the queue's clients and the scaler. The server itself calls nobody.
func NetworkPolicy(namespace, scalerNamespace string) *networkingv1.NetworkPolicy {
	port := intstr.FromInt32(Port)
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: object.Meta(namespace, Name, Name),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: object.Selector(Name)},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress: []networkingv1.NetworkPolicyIngressRule{{
				Ports: []networkingv1.NetworkPolicyPort{{Protocol: new(corev1.ProtocolTCP), Port: &port}},
				From: []networkingv1.NetworkPolicyPeer{
					{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{ClientLabel: "true"}}},
					{NamespaceSelector: &metav1.LabelSelector{
						MatchLabels: map[string]string{corev1.LabelMetadataName: scalerNamespace},
					}},
				},
			}},
		},
	}
}

// ClientPolicy lets every pod with the ClientLabel talk to the queue: admitted by
// the queue, it would still be held back by its namespace, which forbids all.
func ClientPolicy(namespace string) *networkingv1.NetworkPolicy {
	port := intstr.FromInt32(Port)
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: object.Meta(namespace, Name+"-clients", Name),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{ClientLabel: "true"}},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
			Egress: []networkingv1.NetworkPolicyEgressRule{{
				Ports: []networkingv1.NetworkPolicyPort{{Protocol: new(corev1.ProtocolTCP), Port: &port}},
				To: []networkingv1.NetworkPolicyPeer{
					{PodSelector: &metav1.LabelSelector{MatchLabels: object.Selector(Name)}},
				},
			}},
		},
	}
}

// StatefulSet is the server: one replica on one volume. The volume outlives the
// StatefulSet, which is replaced when, say, the volume's size changes; it goes
// with the namespace when the stack is destroyed.
func StatefulSet(namespace, image, configMap string, plan stacks.QueuePlan) *appsv1.StatefulSet {
	claim := corev1.PersistentVolumeClaim{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"},
		ObjectMeta: metav1.ObjectMeta{Name: dataVolume, Labels: object.Labels(Name)},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: plan.Storage},
			},
		},
	}
	if plan.StorageClass != "" {
		claim.Spec.StorageClassName = &plan.StorageClass
	}
	return &appsv1.StatefulSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"},
		ObjectMeta: object.Meta(namespace, Name, Name),
		Spec: appsv1.StatefulSetSpec{
			Replicas:    new(int32(1)),
			ServiceName: Name,
			Selector:    &metav1.LabelSelector{MatchLabels: object.Selector(Name)},
			PersistentVolumeClaimRetentionPolicy: &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
				WhenDeleted: appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
				WhenScaled:  appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
			},
			UpdateStrategy: appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: object.Labels(Name)},
				Spec:       PodSpec(image, configMap, plan.Resources),
			},
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{claim},
		},
	}
}

// PodSpec is the server's pod.
func PodSpec(image, configMap string, resources corev1.ResourceRequirements) corev1.PodSpec {
	return corev1.PodSpec{
		AutomountServiceAccountToken:  new(false),
		EnableServiceLinks:            new(false),
		SecurityContext:               object.PodSecurity(userID),
		TerminationGracePeriodSeconds: new(int64(graceSeconds)),
		Containers: []corev1.Container{{
			Name:            "redis",
			Image:           image,
			ImagePullPolicy: corev1.PullIfNotPresent,
			Command:         []string{"redis-server", configDir + "/" + configFile},
			Ports:           []corev1.ContainerPort{{Name: "redis", ContainerPort: Port, Protocol: corev1.ProtocolTCP}},
			Env: []corev1.EnvVar{{Name: "REDISCLI_AUTH", ValueFrom: &corev1.EnvVarSource{
				SecretKeyRef: &corev1.SecretKeySelector{
					LocalObjectReference: corev1.LocalObjectReference{Name: secretName}, Key: passwordKey,
				},
			}}},
			Resources:       resources,
			SecurityContext: object.ContainerSecurity(),
			StartupProbe:    ping(1, loadMinutes*60),
			ReadinessProbe:  ping(5, 3),
			LivenessProbe:   ping(10, 6),
			VolumeMounts: []corev1.VolumeMount{
				{Name: dataVolume, MountPath: dataDir},
				{Name: "config", MountPath: configDir, ReadOnly: true},
				{Name: "auth", MountPath: authDir, ReadOnly: true},
			},
		}},
		Volumes: []corev1.Volume{
			{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: configMap},
			}}},
			{Name: "auth", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
				SecretName:  secretName,
				Items:       []corev1.KeyToPath{{Key: aclFile, Path: aclFile}},
				DefaultMode: new(int32(0o440)),
			}}},
		},
	}
}

// ping asks the server itself; while it loads its log it answers with an error,
// which -e turns into an exit code.
func ping(periodSeconds, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:     corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"redis-cli", "-e", "ping"}}},
		PeriodSeconds:    periodSeconds,
		TimeoutSeconds:   5,
		FailureThreshold: failures,
	}
}
