package stacks

import (
	"fmt"
	"strings"
	"text/tabwriter"

	corev1 "k8s.io/api/core/v1"
)

// Describe is the plan as a table for people.
func (p Plan) Describe() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range p.rows() {
		// A strings.Builder cannot fail, so neither can the table on it.
		_, _ = fmt.Fprintf(w, "%s\t%s\n", row.name, row.value)
	}
	_ = w.Flush()
	return b.String()
}

type row struct{ name, value string }

func (p Plan) rows() []row {
	k, q, c, t := p.Worker, p.Queue, p.Scaling, p.Timing
	return []row{
		{"stack", fmt.Sprintf("%s, profile %s", p.Stack, p.Profile)},
		{"cluster", p.cluster()},
		{"node", p.node()},
		{"workers per node", p.perNode()},
		{"model", fmt.Sprintf("%s, %s, %d tokens of context a slot", k.Model.Name, k.Model.Memory.String(), k.Model.ContextTokens)},
		{"slots per worker", fmt.Sprint(k.Slots)},
		{"ollama", requirements(k.Ollama)},
		{"haproxy", requirements(k.HAProxy)},
		{"bento", requirements(k.Bento)},
		{"pipeline", fmt.Sprintf("%s, %d attempts", k.Pipeline, k.MaxAttempts)},
		{"queue", fmt.Sprintf("%s, %s, %s in memory, %s on disk", q.Name, q.Mode, q.MaxMemory.String(), q.Storage.String())},
		{"redis", requirements(q.Resources)},
		{"workers", fmt.Sprintf("%d to %d, one per %d messages of the %s's length", c.MinWorkers, c.MaxWorkers, c.MessagesPerWorker, c.Signal)},
		{"scaling", fmt.Sprintf("polls every %s, cools down in %s", short(c.PollingInterval), short(c.Cooldown))},
		{"message at worst", short(t.MaxPerMessage)},
		{"http timeout", short(t.HTTPTimeout)},
		{"slot held at most", short(t.TMax)},
		{"shutdown timeout", short(t.ShutdownTimeout)},
		{"pod's grace", short(t.Grace)},
		{"autoscaler's grace", short(t.AutoscalerGrace)},
		{"reaped when idle", short(t.MinIdle)},
	}
}

func (p Plan) cluster() string {
	text := string(p.Cluster.Kind)
	if p.Cluster.Context != "" {
		text += " " + p.Cluster.Context
	}
	return text + ", namespace " + p.Namespace
}

func (p Plan) node() string {
	n := p.Node
	if len(n.InstanceTypes) == 0 {
		return "the cluster's own"
	}
	lease := "on demand"
	if n.Spot {
		lease = "spot"
	}
	return fmt.Sprintf("%d to %d of %s, %s, %s for pods", n.Min, n.Max, strings.Join(n.InstanceTypes, " or "), lease, resources(n.Allocatable))
}

func (p Plan) perNode() string {
	if p.Worker.PerNode == 0 {
		return "as the scheduler finds room"
	}
	return fmt.Sprint(p.Worker.PerNode)
}

// requirements writes requests, and the memory limit where it differs.
func requirements(r corev1.ResourceRequirements) string {
	text := resources(r.Requests)
	if limit := r.Limits.Memory(); limit.Cmp(*r.Requests.Memory()) != 0 {
		text += ", at most " + limit.String()
	}
	return text
}

// resources writes a resource list in a fixed order.
func resources(list corev1.ResourceList) string {
	text := fmt.Sprintf("%s cpu, %s", list.Cpu().String(), list.Memory().String())
	if gpus, ok := list[gpuResource]; ok {
		text += fmt.Sprintf(", %s GPU", gpus.String())
	}
	return text
}
