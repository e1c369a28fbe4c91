package cluster

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var now = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

// pod is one of some age in some state.
func pod(name string, age time.Duration, status corev1.PodStatus) corev1.Pod {
	return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(now.Add(-age))}, Status: status}
}

func terminating(p corev1.Pod, overdue time.Duration) corev1.Pod {
	at := metav1.NewTime(now.Add(-overdue))
	p.DeletionTimestamp = &at
	return p
}

func waiting(container, reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: container, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
}

func ended(s corev1.ContainerStatus, reason string, code, restarts int32) corev1.ContainerStatus {
	s.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{Reason: reason, ExitCode: code}
	s.RestartCount = restarts
	return s
}

func condition(kind corev1.PodConditionType, status corev1.ConditionStatus, reason, message string) []corev1.PodCondition {
	return []corev1.PodCondition{{Type: kind, Status: status, Reason: reason, Message: message}}
}

func TestPodsAreJudgedByTheirState(t *testing.T) {
	started := true
	for name, test := range map[string]struct {
		pod  corev1.Pod
		want *Pod
	}{
		"ready":         {pod("p", time.Hour, corev1.PodStatus{Conditions: condition(corev1.PodReady, corev1.ConditionTrue, "", "")}), nil},
		"succeeded":     {pod("p", time.Hour, corev1.PodStatus{Phase: corev1.PodSucceeded}), nil},
		"draining":      {terminating(pod("p", time.Hour, corev1.PodStatus{}), -30*time.Second), nil},
		"stuck":         {terminating(pod("p", time.Hour, corev1.PodStatus{}), 5*time.Minute), &Pod{Reason: "Terminating", Message: "it should have ended 5m0s ago", Age: time.Hour, Problem: true}},
		"evicted":       {pod("p", time.Hour, corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "disk"}), &Pod{Reason: "Evicted", Message: "disk", Age: time.Hour, Problem: true}},
		"unschedulable": {pod("p", time.Minute, corev1.PodStatus{Conditions: condition(corev1.PodScheduled, corev1.ConditionFalse, "Unschedulable", "0/1 nodes")}), &Pod{Reason: "Unschedulable", Message: "0/1 nodes", Age: time.Minute}},
		"long unschedulable": {pod("p", time.Hour, corev1.PodStatus{Conditions: condition(corev1.PodScheduled, corev1.ConditionFalse, "Unschedulable", "0/1 nodes")}),
			&Pod{Reason: "Unschedulable", Message: "0/1 nodes", Age: time.Hour, Problem: true}},
		"image": {pod("p", time.Second, corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{waiting("bento", "ErrImageNeverPull", "not here")}}),
			&Pod{Reason: "ErrImageNeverPull", Message: "container bento: not here", Age: time.Second, Problem: true}},
		"crash": {pod("p", time.Second, corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{ended(waiting("ollama", "CrashLoopBackOff", "back-off"), "Error", 3, 7)}}),
			&Pod{Reason: "CrashLoopBackOff", Message: "container ollama ended 7 times, last with code 3 (Error)", Age: time.Second, Problem: true}},
		"memory": {pod("p", time.Second, corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{ended(corev1.ContainerStatus{Name: "ollama"}, "OOMKilled", 137, 1)}}),
			&Pod{Reason: "OOMKilled", Message: "container ollama needs more memory than its limit", Age: time.Second, Problem: true}},
		"loading the model": {pod("p", time.Minute, corev1.PodStatus{
			InitContainerStatuses: []corev1.ContainerStatus{{Name: "model", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}, {Name: "ollama", Ready: true, Started: new(bool)}},
			ContainerStatuses:     []corev1.ContainerStatus{waiting("bento", "PodInitializing", "")},
		}), &Pod{Reason: "Starting", Message: "waiting for container ollama", Age: time.Minute}},
		"long not ready": {pod("p", time.Hour, corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "bento", Started: &started}}}),
			&Pod{Reason: "Starting", Message: "waiting for container bento", Age: time.Hour, Problem: true}},
	} {
		t.Run(name, func(t *testing.T) {
			got, unready := judge(&test.pod, now)
			if test.want == nil {
				if unready {
					t.Errorf("got %+v, want none", got)
				}
				return
			}
			test.want.Name = "p"
			if diff := cmp.Diff(*test.want, got); diff != "" || !unready {
				t.Errorf("unready %v (-want +got):\n%s", unready, diff)
			}
		})
	}
}

func TestTheNewestWarningExplainsAPodThatDoesNot(t *testing.T) {
	event := func(pod, reason string, age time.Duration) corev1.Event {
		return corev1.Event{
			InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: pod}, Reason: reason, Message: "m",
			LastTimestamp: metav1.NewTime(now.Add(-age)),
		}
	}
	o := Objects{
		Pods:     []corev1.Pod{pod("b", 0, corev1.PodStatus{}), pod("a", 0, corev1.PodStatus{})},
		Warnings: []corev1.Event{event("b", "Old", time.Hour), event("b", "FailedMount", 0), event("c", "Other", 0), event("b", "Older", 2*time.Hour)},
	}
	want := []Pod{{Name: "a", Reason: "NotReady"}, {Name: "b", Reason: "NotReady", Message: "FailedMount: m"}}
	if diff := cmp.Diff(want, o.Unready(now)); diff != "" {
		t.Errorf("unready pods (-want +got):\n%s", diff)
	}
}

func TestServicePortLeadsToThePodsPort(t *testing.T) {
	p := corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "redis", ContainerPort: 6380}}}}}}
	for name, test := range map[string]struct {
		target intstr.IntOrString
		port   int
		want   int
		err    string
	}{
		"number":       {intstr.FromInt32(7000), 6379, 7000, ""},
		"name":         {intstr.FromString("redis"), 6379, 6380, ""},
		"unset":        {intstr.IntOrString{}, 6379, 6379, ""},
		"unknown name": {intstr.FromString("http"), 6379, 0, `has no port named "http"`},
		"unknown port": {intstr.FromInt32(7000), 1, 0, "service queue has no port 1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "queue"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 6379, TargetPort: test.target}}}}
			got, err := targetPort(s, &p, test.port)
			if got != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("got %d, %v; want %d, %s", got, err, test.want, test.err)
			}
		})
	}
}
