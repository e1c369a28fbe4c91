package worker

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"caravan.dev/caravan/components/internal/object"
	"caravan.dev/caravan/components/queue"
)

const (
	// startWithin is how long a new pod may take: a node, images of some gigabytes, the loading of the model.
	startWithin = 15 * time.Minute
	// pullWithin is added when the model is pulled as well.
	pullWithin = 30 * time.Minute
)

// Deployment has no replicas: the scaler sets them, and a number here would be
// fought over with every update. It is created with one pod, which proves that
// the pod can start, and which the scaler then removes if there is no work.
//
// A rollout takes half of the workers away before it starts new ones. Workers
// fill their nodes, so there is no room for a new pod beside an old one; and the
// queue waits, so nobody is turned away while there are fewer.
func Deployment(args *Args) *appsv1.Deployment {
	none, half := intstr.FromInt32(0), intstr.FromString("50%")
	labels := object.Labels(Name)
	labels[queue.ClientLabel] = "true"
	return &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: object.Meta(args.Namespace, Name, Name),
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: object.Selector(Name)},
			Strategy: appsv1.DeploymentStrategy{
				Type:          appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &none, MaxUnavailable: &half},
			},
			// An older revision's texts are gone: going back is a change of the stack, too.
			RevisionHistoryLimit:    new(int32(1)),
			ProgressDeadlineSeconds: new(int32(progressDeadline(args).Seconds())),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       PodSpec(args),
			},
		},
	}
}

// progressDeadline is how long one round of a rollout may take: an old worker
// ends its messages, a new one starts in its place.
func progressDeadline(args *Args) time.Duration {
	deadline := args.Timing.Grace + startWithin
	if !args.Plan.Model.InImage {
		deadline += pullWithin
	}
	return deadline
}
