// Package health judges a running system from what was found of it. It does no I/O.
package health

import (
	"fmt"
	"time"

	"caravan.dev/caravan/cmd/caravan/internal/cluster"
	"caravan.dev/caravan/cmd/caravan/internal/queue"
	"caravan.dev/caravan/cmd/caravan/internal/view"
)

const (
	// nearlyFull is the part of Redis's memory, in percent, from which it is too full.
	// Loading stops well before (queue.LoadPercent), which is no fault.
	nearlyFull = 90
	// makeRoom is what frees memory: results stay until they are deleted.
	makeRoom = "take results out for good: caravan results --out FILE --delete; or raise queue.maxMemory and run pulumi up"
	// unseen is how long messages may wait while no worker is wanted: well beyond
	// the scaler's polling interval (30 s unless set).
	unseen = 2 * time.Minute
)

// Findings is what was found of a system.
type Findings struct {
	// Cluster is nil when only the queue was looked at.
	Cluster *Cluster
	// Queue is the queue's name.
	Queue string
	// QueueError is why the queue cannot be asked; what follows is then empty.
	QueueError  error
	Mode        string
	Server      queue.Server
	Counts      queue.Counts
	Stats       map[string]int64
	LiveWorkers int
}

// Cluster is the part of the findings that Kubernetes tells.
type Cluster struct {
	Stack, Kind, Host, Namespace string
	Objects                      *cluster.Objects
}

// Problem is something that is not as it should be.
type Problem struct {
	What string `json:"what"`
	// Next is what to do about it.
	Next string `json:"next"`
}

// Report is the judgement.
type Report struct {
	Healthy  bool           `json:"healthy"`
	Problems []Problem      `json:"problems"`
	Cluster  *ClusterReport `json:"cluster,omitempty"`
	Queue    QueueReport    `json:"queue"`
	// DeadLetters is what to do about them; empty when there are none.
	DeadLetters string `json:"deadLetters,omitempty"`
	// NoRoom is what to do when nothing more can be loaded; empty while something can.
	NoRoom string `json:"noRoom,omitempty"`
}

// ClusterReport is how Kubernetes sees the system.
type ClusterReport struct {
	Stack     string `json:"stack"`
	Kind      string `json:"kind"`
	Host      string `json:"host"`
	Namespace string `json:"namespace"`
	// Workers are by the Deployment; Scaler are the ScaledObject's conditions.
	Workers cluster.Workers     `json:"workers"`
	Scaler  []cluster.Condition `json:"scaler"`
	// Pods are those that are not ready.
	Pods []cluster.Pod `json:"pods"`
}

// QueueReport is how Redis sees the system.
type QueueReport struct {
	Name      string `json:"name"`
	Reachable bool   `json:"reachable"`
	Mode      string `json:"mode,omitempty"`
	// Server and the rest are absent when the queue is out of reach.
	Server      *queue.Server    `json:"server,omitempty"`
	Backlog     int64            `json:"backlog"`
	Running     int64            `json:"running"`
	Done        int64            `json:"done"`
	Dead        int64            `json:"dead"`
	LiveWorkers int              `json:"liveWorkers"`
	Counters    map[string]int64 `json:"counters,omitempty"`
}

// Judge says what is wrong with what was found, as of now.
func Judge(f Findings, now time.Time) Report {
	report := Report{Problems: []Problem{}, Queue: QueueReport{Name: f.Queue, Reachable: f.QueueError == nil}}
	if f.Cluster != nil {
		report.Cluster = f.Cluster.report(now)
		report.Problems = append(report.Problems, f.Cluster.problems(report.Cluster)...)
	}
	if f.QueueError != nil {
		report.Problems = append(report.Problems, Problem{"the queue cannot be reached: " + view.OneLine(f.QueueError.Error()), f.reachNext()})
		return report
	}
	report.Queue.Mode, report.Queue.Server, report.Queue.Counters = f.Mode, &f.Server, f.Stats
	report.Queue.Backlog, report.Queue.Running = f.Counts.Backlog, f.Counts.Running
	report.Queue.Done, report.Queue.Dead, report.Queue.LiveWorkers = f.Counts.Done, f.Counts.Dead, f.LiveWorkers
	report.Problems = append(report.Problems, serverProblems(f.Server)...)
	report.Problems = append(report.Problems, f.flowProblems()...)
	if f.Counts.Dead > 0 {
		report.DeadLetters = "`caravan dead list` says why; when that is mended, `caravan dead replay --all`"
	}
	if !f.Server.Fits(0) {
		report.NoRoom = fmt.Sprintf("over %d %% of the memory is used, the rest is kept for results; `caravan results --out FILE --delete` makes room", queue.LoadPercent)
	}
	report.Healthy = len(report.Problems) == 0
	return report
}

func (f Findings) reachNext() string {
	if f.Cluster == nil {
		return "check --redis-url and that the server runs"
	}
	return "look at the queue's pod: " + f.Cluster.kubectl("get pods")
}

func (c *Cluster) kubectl(command string) string {
	return fmt.Sprintf("kubectl -n %s %s", c.Namespace, command)
}

func (c *Cluster) report(now time.Time) *ClusterReport {
	return &ClusterReport{
		Stack: c.Stack, Kind: c.Kind, Host: c.Host, Namespace: c.Namespace,
		Workers: c.Objects.Workers(), Scaler: c.Objects.Conditions(), Pods: c.Objects.Unready(now),
	}
}

func (c *Cluster) problems(r *ClusterReport) []Problem {
	up := fmt.Sprintf("create it: pulumi up -s %s", c.Stack)
	var problems []Problem
	if c.Objects.Deployment == nil {
		problems = append(problems, Problem{"the worker deployment does not exist", up})
	}
	if c.Objects.ScaledObject == nil {
		problems = append(problems, Problem{"the scaled object does not exist, so nothing scales the workers", up})
	} else {
		problems = append(problems, c.scalerProblems(r.Scaler)...)
	}
	for _, pod := range r.Pods {
		if pod.Problem {
			what := fmt.Sprintf("pod %s: %s", pod.Name, pod.Reason)
			if pod.Message != "" {
				what += ": " + view.OneLine(pod.Message)
			}
			problems = append(problems, Problem{what, c.kubectl("describe pod " + pod.Name)})
		}
	}
	return problems
}

func (c *Cluster) scalerProblems(conditions []cluster.Condition) []Problem {
	var problems []Problem
	ready := false
	for _, condition := range conditions {
		detail := view.OneLine(condition.Reason + ": " + condition.Message)
		switch {
		case condition.Type == "Ready" && condition.Status == "True":
			ready = true
		case condition.Type == "Ready":
			problems = append(problems, Problem{"the scaled object is not ready: " + detail, c.kubectl("describe scaledobject")})
			ready = true // said
		case condition.Type == "Fallback" && condition.Status == "True":
			problems = append(problems, Problem{"KEDA cannot read the backlog: " + detail, c.kubectl("describe scaledobject")})
		case condition.Type == "Paused" && condition.Status == "True":
			problems = append(problems, Problem{"scaling is paused by an annotation", c.kubectl("annotate scaledobject --all autoscaling.keda.sh/paused- autoscaling.keda.sh/paused-replicas-")})
		}
	}
	if !ready {
		problems = append(problems, Problem{"KEDA has not taken notice of the scaled object", "look at KEDA: kubectl get pods -A -l app.kubernetes.io/part-of=keda-operator"})
	}
	return problems
}

func serverProblems(s queue.Server) []Problem {
	var problems []Problem
	if s.LimitBytes > 0 && s.UsedBytes*100 >= s.LimitBytes*nearlyFull {
		problems = append(problems, Problem{
			fmt.Sprintf("redis uses %s of %s; results are written beyond that too, until its pod is out of memory", view.Bytes(s.UsedBytes), view.Bytes(s.LimitBytes)),
			makeRoom,
		})
	}
	if s.Policy != "noeviction" && s.LimitBytes > 0 {
		problems = append(problems, Problem{"redis may evict messages (maxmemory-policy " + s.Policy + ")", "set maxmemory-policy noeviction"})
	}
	if !s.AppendOnly {
		problems = append(problems, Problem{"redis keeps nothing on disk: a restart loses the queue", "set appendonly yes"})
	} else if !s.AppendOnlyOK {
		problems = append(problems, Problem{"redis could not write to its disk", "look at the volume: is it full?"})
	}
	return problems
}

// flowProblems are messages that nobody will take.
func (f Findings) flowProblems() []Problem {
	var problems []Problem
	old := time.Duration(f.Server.OldestSeconds) * time.Second
	if f.Cluster != nil && f.Counts.Backlog > 0 && old > unseen && f.Cluster.Objects.Workers().Wanted == 0 {
		problems = append(problems, Problem{
			fmt.Sprintf("a message has been waiting for %s and no worker is wanted", view.Span(old)),
			"ask the scaler: " + f.Cluster.kubectl("describe scaledobject"),
		})
	}
	if f.Server.OrphanIDs > 0 {
		problems = append(problems, Problem{
			fmt.Sprintf("%s taken for outstanding but in no queue: somebody deleted entries by hand, and these ids cannot be loaded again",
				view.Plural(int(f.Server.OrphanIDs), "id is", "ids are")),
			fmt.Sprintf("free them: redis-cli del '{%s}:ids' (only while the backlog is 0)", f.Queue),
		})
	}
	return problems
}
