package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// patience is how long a pod may take to be scheduled and to become ready
// before that is a problem: a node may have to be bought and a model be loaded.
const patience = 10 * time.Minute

var scaledObjects = schema.GroupVersionResource{Group: "keda.sh", Version: "v1alpha1", Resource: "scaledobjects"}

// Objects are the stack's objects as the API server returned them.
type Objects struct {
	// Deployment and ScaledObject are nil when they do not exist.
	Deployment   *appsv1.Deployment
	ScaledObject *unstructured.Unstructured
	Pods         []corev1.Pod
	// Warnings are the namespace's events of type Warning.
	Warnings []corev1.Event
}

// Condition is one condition of the ScaledObject.
type Condition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

// Pod is a pod that is not (yet) ready.
type Pod struct {
	Name string `json:"name"`
	// Reason is why, in Kubernetes' words; Message is the detail, or the last warning event.
	Reason  string        `json:"reason"`
	Message string        `json:"message,omitempty"`
	Age     time.Duration `json:"-"`
	// Problem is false while there is reason to just wait.
	Problem bool `json:"problem"`
}

// Inspect reads the objects that Health judges.
func (c *Client) Inspect(ctx context.Context, deployment, scaledObject string) (*Objects, error) {
	var objects Objects
	var err error
	objects.Deployment, err = c.typed.AppsV1().Deployments(c.namespace).Get(ctx, deployment, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		objects.Deployment = nil
	} else if err != nil {
		return nil, c.explain("reading the worker deployment", deployment, err)
	}
	objects.ScaledObject, err = c.dynamic.Resource(scaledObjects).Namespace(c.namespace).Get(ctx, scaledObject, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		objects.ScaledObject = nil
	} else if err != nil {
		return nil, c.explain("reading the scaled object", scaledObject, err)
	}
	pods, err := c.typed.CoreV1().Pods(c.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, c.explain("listing the pods of namespace", c.namespace, err)
	}
	objects.Pods = pods.Items
	events, err := c.typed.CoreV1().Events(c.namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=Warning"})
	if err != nil {
		return nil, c.explain("listing the events of namespace", c.namespace, err)
	}
	objects.Warnings = events.Items
	return &objects, nil
}

// Workers counts the Deployment's replicas; zero when there is none.
func (o *Objects) Workers() Workers {
	if o.Deployment == nil {
		return Workers{}
	}
	return countWorkers(o.Deployment)
}

func countWorkers(d *appsv1.Deployment) Workers {
	wanted := 1 // what Kubernetes takes for an unset field
	if d.Spec.Replicas != nil {
		wanted = int(*d.Spec.Replicas)
	}
	return Workers{Ready: int(d.Status.ReadyReplicas), Wanted: wanted}
}

// Conditions are the ScaledObject's, sorted by type; empty when there is none.
func (o *Objects) Conditions() []Condition {
	if o.ScaledObject == nil {
		return nil
	}
	var conditions []Condition
	raw, _, _ := unstructured.NestedSlice(o.ScaledObject.Object, "status", "conditions") // absent until KEDA has seen it
	for _, item := range raw {
		if fields, ok := item.(map[string]any); ok {
			text := func(key string) string { s, _ := fields[key].(string); return s }
			conditions = append(conditions, Condition{text("type"), text("status"), text("reason"), text("message")})
		}
	}
	slices.SortFunc(conditions, func(a, b Condition) int { return cmp.Compare(a.Type, b.Type) })
	return conditions
}

// Unready are the pods that are not ready and why, sorted by name. Pods that
// drain within their grace period or have succeeded are left out.
func (o *Objects) Unready(now time.Time) []Pod {
	var pods []Pod
	for i := range o.Pods {
		if pod, unready := judge(&o.Pods[i], now); unready {
			if event := o.lastWarning(pod.Name); event != "" && pod.Message == "" {
				pod.Message = event
			}
			pods = append(pods, pod)
		}
	}
	slices.SortFunc(pods, func(a, b Pod) int { return cmp.Compare(a.Name, b.Name) })
	return pods
}

// judge says whether a pod is unready and, if so, why and whether to worry.
func judge(p *corev1.Pod, now time.Time) (Pod, bool) {
	pod := Pod{Name: p.Name, Age: now.Sub(p.CreationTimestamp.Time)}
	pod.Problem = pod.Age > patience
	switch {
	case p.DeletionTimestamp != nil:
		// DeletionTimestamp already includes the grace period.
		pod.Reason, pod.Problem = "Terminating", true
		pod.Message = "it should have ended " + now.Sub(p.DeletionTimestamp.Time).Round(time.Second).String() + " ago"
		return pod, now.After(p.DeletionTimestamp.Add(time.Minute))
	case p.Status.Phase == corev1.PodSucceeded, isReady(p):
		return pod, false
	case p.Status.Phase == corev1.PodFailed:
		pod.Reason, pod.Message, pod.Problem = cmp.Or(p.Status.Reason, "Failed"), p.Status.Message, true
		return pod, true
	}
	if reason, message, found := containerFault(p); found {
		pod.Reason, pod.Message, pod.Problem = reason, message, true
		return pod, true
	}
	for _, condition := range p.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			pod.Reason, pod.Message = condition.Reason, condition.Message
			return pod, true
		}
	}
	pod.Reason = "NotReady"
	if waiting := waitingFor(p); waiting != "" {
		pod.Reason, pod.Message = "Starting", "waiting for container "+waiting
	}
	return pod, true
}

// containerFault finds a container that cannot start or keeps ending.
func containerFault(p *corev1.Pod) (reason, message string, found bool) {
	for _, status := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if waiting := status.State.Waiting; waiting != nil && isFault(waiting.Reason) {
			message := fmt.Sprintf("container %s: %s", status.Name, waiting.Message)
			if last := status.LastTerminationState.Terminated; last != nil {
				message = fmt.Sprintf("container %s ended %d times, last with code %d (%s)", status.Name, status.RestartCount, last.ExitCode, last.Reason)
			}
			return waiting.Reason, message, true
		}
		if ended := status.LastTerminationState.Terminated; ended != nil && ended.Reason == "OOMKilled" {
			return ended.Reason, fmt.Sprintf("container %s needs more memory than its limit", status.Name), true
		}
	}
	return "", "", false
}

// isFault tells a reason that does not mend itself from mere waiting.
func isFault(reason string) bool {
	return strings.HasSuffix(reason, "BackOff") || strings.HasPrefix(reason, "Err") ||
		strings.HasSuffix(reason, "Error") || reason == "InvalidImageName"
}

// waitingFor names the first container that has not started or is not ready, in the order in which they start.
func waitingFor(p *corev1.Pod) string {
	for _, status := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		finished := status.State.Terminated != nil && status.State.Terminated.ExitCode == 0
		if !finished && (!status.Ready || status.Started != nil && !*status.Started) {
			return status.Name
		}
	}
	return ""
}

// lastWarning is the newest warning event about a pod.
func (o *Objects) lastWarning(pod string) string {
	var newest time.Time
	var text string
	for _, event := range o.Warnings {
		at := event.LastTimestamp.Time
		if at.IsZero() {
			at = event.EventTime.Time
		}
		if event.InvolvedObject.Kind == "Pod" && event.InvolvedObject.Name == pod && !at.Before(newest) {
			newest, text = at, event.Reason+": "+event.Message
		}
	}
	return text
}
