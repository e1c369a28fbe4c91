package health

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"caravan.dev/caravan/cmd/caravan/internal/view"
)

// labelWidth is the width of the left column.
const labelWidth = 11

// Write writes the report as a page of text.
func Write(w io.Writer, r Report) error {
	var page strings.Builder
	line := func(label, format string, args ...any) {
		fmt.Fprintf(&page, "%-*s%s\n", labelWidth, label, fmt.Sprintf(format, args...))
	}
	if r.Cluster != nil {
		r.Cluster.write(line)
	}
	r.Queue.write(line)
	if r.DeadLetters != "" {
		line("", "dead letters: %s", r.DeadLetters)
	}
	if r.NoRoom != "" {
		line("", "no more loads: %s", r.NoRoom)
	}
	page.WriteByte('\n')
	if r.Healthy {
		line("healthy", "")
	}
	for _, problem := range r.Problems {
		line("PROBLEM", "%s", problem.What)
		line("", "→ %s", problem.Next)
	}
	text := page.String()
	for row := range strings.Lines(text) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(row, " \n")); err != nil {
			return fmt.Errorf("writing the status: %w", err)
		}
	}
	return nil
}

func (c *ClusterReport) write(line func(label, format string, args ...any)) {
	line("stack", "%s", c.Stack)
	line("cluster", "%s at %s, namespace %s", c.Kind, c.Host, c.Namespace)
	line("workers", "%d ready of %d wanted", c.Workers.Ready, c.Workers.Wanted)
	conditions := make([]string, len(c.Scaler))
	for i, condition := range c.Scaler {
		conditions[i] = condition.Type + " " + condition.Status
	}
	if len(conditions) == 0 {
		conditions = []string{"no conditions"}
	}
	line("scaler", "%s", strings.Join(conditions, ", "))
	for _, pod := range c.Pods {
		detail := pod.Reason
		if pod.Message != "" {
			detail += ": " + view.OneLine(pod.Message)
		}
		line("pod", "%s  %s  %s", pod.Name, view.Span(pod.Age), detail)
	}
}

func (q *QueueReport) write(line func(label, format string, args ...any)) {
	if !q.Reachable {
		line("queue", "%s, out of reach", q.Name)
		return
	}
	limit := "no limit"
	if q.Server.LimitBytes > 0 {
		limit = view.Bytes(q.Server.LimitBytes)
	}
	disk := "nothing on disk"
	if q.Server.AppendOnly {
		disk = "every write on disk"
	}
	line("queue", "%s (%s), redis %s, memory %s of %s, %s", q.Name, q.Mode, q.Server.Version, view.Bytes(q.Server.UsedBytes), limit, disk)
	oldest := ""
	if q.Backlog > 0 {
		oldest = ", the oldest for " + view.Span(time.Duration(q.Server.OldestSeconds)*time.Second)
	}
	line("messages", "backlog %s (%s running)%s, done %s, dead %s", view.Number(q.Backlog), view.Number(q.Running), oldest, view.Number(q.Done), view.Number(q.Dead))
	line("heartbeats", "%s", view.Plural(q.LiveWorkers, "worker", "workers"))
	counters := make([]string, 0, len(q.Counters))
	for _, name := range slices.Sorted(maps.Keys(q.Counters)) {
		counters = append(counters, fmt.Sprintf("%s %s", name, view.Number(q.Counters[name])))
	}
	if len(counters) > 0 {
		line("counters", "%s", strings.Join(counters, ", "))
	}
}
