package health

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"caravan.dev/caravan/cmd/caravan/internal/cluster"
	"caravan.dev/caravan/cmd/caravan/internal/queue"
	"caravan.dev/caravan/internal/golden"
)

var now = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

// scaledObject is one with conditions, given as type and status in turn.
func scaledObject(conditions ...string) *unstructured.Unstructured {
	var list []any
	for i := 0; i < len(conditions); i += 2 {
		list = append(list, map[string]any{"type": conditions[i], "status": conditions[i+1], "reason": "R", "message": "m"})
	}
	return &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"conditions": list}}}
}

// sound is a system in which nothing is wrong.
func sound() Findings {
	replicas := int32(3)
	return Findings{
		Queue: "caravan", Mode: "stream", LiveWorkers: 2,
		Cluster: &Cluster{
			Stack: "local", Kind: "embedded", Host: "https://10.0.0.1:6443", Namespace: "caravan",
			Objects: &cluster.Objects{
				Deployment:   &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Replicas: &replicas}, Status: appsv1.DeploymentStatus{ReadyReplicas: 2}},
				ScaledObject: scaledObject("Ready", "True", "Active", "True", "Fallback", "False", "Paused", "False"),
			},
		},
		Server: queue.Server{Version: "7.2.0", Memory: queue.Memory{UsedBytes: 10 << 20, LimitBytes: 64 << 20}, Policy: "noeviction", AppendOnly: true, AppendOnlyOK: true, OldestSeconds: 340},
		Counts: queue.Counts{Backlog: 1200, Running: 4, Done: 30},
		Stats:  map[string]int64{"loaded": 1230, "done": 30},
	}
}

// pod is one that was made an hour ago and whose container waits for a reason.
func pod(name, reason string) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(now.Add(-time.Hour))},
		Status: corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{
			Name: "bento", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "no such\nimage"}},
		}}},
	}
}

func TestPageOfASoundSystem(t *testing.T) {
	report := Judge(sound(), now)
	if !report.Healthy {
		t.Errorf("problems in a sound system: %+v", report.Problems)
	}
	goldenPage(t, "sound.txt", report)
}

func TestPageOfABrokenSystem(t *testing.T) {
	f := sound()
	f.Cluster.Objects.Pods = []corev1.Pod{pod("worker-1", "ErrImagePull")}
	f.Cluster.Objects.ScaledObject = scaledObject("Ready", "False")
	f.Counts.Dead = 2
	f.Server.UsedBytes = 60 << 20
	goldenPage(t, "broken.txt", Judge(f, now))
	text, err := json.Marshal(Judge(f, now))
	if err != nil || !bytes.Contains(text, []byte(`"pods":[{"name":"worker-1","reason":"ErrImagePull"`)) {
		t.Errorf("%v in %s", err, text)
	}
}

func goldenPage(t *testing.T, name string, report Report) {
	t.Helper()
	var page bytes.Buffer
	if err := Write(&page, report); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, name, page.String())
}

func TestEveryFaultIsFoundAndSaid(t *testing.T) {
	zero := int32(0)
	for name, test := range map[string]struct {
		spoil func(*Findings)
		want  string
	}{
		"no deployment":       {func(f *Findings) { f.Cluster.Objects.Deployment = nil; f.Counts.Backlog = 0 }, "the worker deployment does not exist"},
		"no scaled object":    {func(f *Findings) { f.Cluster.Objects.ScaledObject = nil }, "the scaled object does not exist, so nothing scales the workers"},
		"unseen by KEDA":      {func(f *Findings) { f.Cluster.Objects.ScaledObject = scaledObject() }, "KEDA has not taken notice of the scaled object"},
		"scaler not ready":    {func(f *Findings) { f.Cluster.Objects.ScaledObject = scaledObject("Ready", "False") }, "the scaled object is not ready: R: m"},
		"fallback":            {func(f *Findings) { f.Cluster.Objects.ScaledObject = scaledObject("Ready", "True", "Fallback", "True") }, "KEDA cannot read the backlog: R: m"},
		"paused":              {func(f *Findings) { f.Cluster.Objects.ScaledObject = scaledObject("Ready", "True", "Paused", "True") }, "scaling is paused by an annotation"},
		"image":               {func(f *Findings) { f.Cluster.Objects.Pods = []corev1.Pod{pod("w", "ImagePullBackOff")} }, "pod w: ImagePullBackOff: container bento: no such image"},
		"queue out of reach":  {func(f *Findings) { f.QueueError = errors.New("refused") }, "the queue cannot be reached: refused"},
		"memory":              {func(f *Findings) { f.Server.UsedBytes = 58 << 20 }, "redis uses 58.0 MiB of 64.0 MiB; results are written beyond that too, until its pod is out of memory"},
		"eviction":            {func(f *Findings) { f.Server.Policy = "allkeys-lru" }, "redis may evict messages (maxmemory-policy allkeys-lru)"},
		"no persistence":      {func(f *Findings) { f.Server.AppendOnly = false }, "redis keeps nothing on disk: a restart loses the queue"},
		"disk full":           {func(f *Findings) { f.Server.AppendOnlyOK = false }, "redis could not write to its disk"},
		"nobody takes":        {func(f *Findings) { f.Cluster.Objects.Deployment.Spec.Replicas = &zero }, "a message has been waiting for 5m40s and no worker is wanted"},
		"ids without a queue": {func(f *Findings) { f.Counts.Backlog, f.Server.OrphanIDs = 0, 2 }, "2 ids are taken for outstanding but in no queue: somebody deleted entries by hand, and these ids cannot be loaded again"},
	} {
		t.Run(name, func(t *testing.T) {
			f := sound()
			test.spoil(&f)
			report := Judge(f, now)
			if len(report.Problems) != 1 || report.Problems[0].What != test.want || report.Problems[0].Next == "" || report.Healthy {
				t.Errorf("got %+v (healthy: %v), want one problem: %s", report.Problems, report.Healthy, test.want)
			}
		})
	}
}

func TestWhenLoadingIsRefusedTheWayOutIsSaid(t *testing.T) {
	f := sound()
	f.Server.UsedBytes = f.Server.LimitBytes * queue.LoadPercent / 100
	if report := Judge(f, now); report.NoRoom != "" {
		t.Errorf("at the limit: %q", report.NoRoom)
	}
	f.Server.UsedBytes += f.Server.LimitBytes / 100
	if report := Judge(f, now); !strings.Contains(report.NoRoom, "caravan results --out FILE --delete") || !report.Healthy {
		t.Errorf("beyond the limit: %+v", report)
	}
}

func TestWhatIsOnlyOnItsWayIsNoProblem(t *testing.T) {
	zero := int32(0)
	for name, change := range map[string]func(*Findings){
		"asleep":       func(f *Findings) { f.Cluster.Objects.Deployment.Spec.Replicas, f.Counts.Backlog = &zero, 0 },
		"just loaded":  func(f *Findings) { f.Cluster.Objects.Deployment.Spec.Replicas, f.Server.OldestSeconds = &zero, 20 },
		"dead letters": func(f *Findings) { f.Counts.Dead = 5 },
		"starting": func(f *Findings) {
			p := pod("w", "ContainerCreating")
			p.CreationTimestamp = metav1.NewTime(now.Add(-time.Minute))
			f.Cluster.Objects.Pods = []corev1.Pod{p}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := sound()
			change(&f)
			if report := Judge(f, now); !report.Healthy {
				t.Errorf("problems %+v", report.Problems)
			}
		})
	}
}
