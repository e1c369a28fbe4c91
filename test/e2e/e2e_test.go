package e2e

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestOneMachine is the life of the stack `local`, from a bare machine to a bare
// machine. Each step builds on the one before, so the first failure ends it.
func TestOneMachine(t *testing.T) {
	m := newMachine(t)
	m.status = m.run(t, time.Minute, "git", "status", "--porcelain")
	t.Cleanup(func() {
		if _, stderr, err := m.try(3*time.Minute, "make", "down"); err != nil {
			t.Errorf("make down: %v\n%s", err, stderr)
		}
	})
	steps := []struct {
		name string
		test func(*testing.T, machine)
	}{
		{"a port in use is refused and nothing is left half-built", portInUse},
		{"an interrupted up is cleared away by down", interruptedUp},
		{"a pulumi up that is killed leaves nothing in the way of the next", killedDeployment},
		{"make up brings everything up", up},
		{"a second make up changes nothing", unchanged},
		{"another checkout may not touch the running cluster", otherCheckout},
		{"workers go to zero when there is nothing to do", idle},
		{"one message wakes a worker from zero and is answered", wakeUp},
		{"1,000 cities become 1,000 answers", thousandCities},
		{"loading the same file again does nothing twice", loadAgain},
		{"poison becomes dead letters that can be listed and purged", poison},
		{"a changed pipeline rolls the workers under load and loses nothing", changedPipeline},
		{"make down removes everything within its deadline", down},
	}
	for _, step := range steps {
		if !t.Run(step.name, func(t *testing.T) { step.test(t, m) }) {
			diagnose(t, m)
			t.FailNow()
		}
	}
}

// diagnose shows what a person would look at first.
func diagnose(t *testing.T, m machine) {
	t.Helper()
	for _, args := range [][]string{
		{"get", "pods,scaledobjects,hpa", "--all-namespaces", "--output=wide"},
		{"get", "events", "--namespace=caravan", "--sort-by=.lastTimestamp"},
		{"logs", "--namespace=caravan", "--selector=app.kubernetes.io/name=worker", "--all-containers", "--tail=20", "--prefix"},
	} {
		stdout, stderr, _ := m.try(20*time.Second, "kubectl", args...)
		t.Logf("kubectl %s\n%s%s", strings.Join(args, " "), stdout, stderr)
	}
}

func (m machine) embedded() string { return filepath.Join(m.root, ".caravan/bin/embedded") }

// portInUse listens where the API server would.
func portInUse(t *testing.T, m machine) {
	m.run(t, 3*time.Minute, "make", "down")
	listener, err := net.Listen("tcp", ":6443")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, stderr, err := m.try(time.Hour, m.embedded(), "up") // the first run builds the tools
	if err == nil || !strings.Contains(stderr, "port 6443 is in use") {
		t.Errorf("embedded up with its port in use: %v\n%s", err, stderr)
	}
	nothingLeft(t)
}

// otherCheckout calls the tool from another folder that looks like a checkout.
func otherCheckout(t *testing.T, m machine) {
	other := filepath.Dir(m.write(t, "Pulumi.yaml", ""))
	for _, command := range []string{"up", "down"} {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		embedded := m.command(ctx, m.embedded(), command)
		embedded.Dir = other
		output, err := embedded.CombinedOutput()
		if err == nil || !strings.Contains(string(output), "belongs to another checkout: "+m.root) {
			t.Errorf("embedded %s in another checkout: %v\n%s", command, err, output)
		}
	}
	m.caravan(t, time.Minute, "status")
}

// interruptedUp kills `embedded up` as soon as the cluster's processes run.
func interruptedUp(t *testing.T, m machine) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	embedded := m.command(ctx, m.embedded(), "up")
	if err := embedded.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Minute, "the first node's containerd to run", func() bool {
		_, err := os.Stat("/run/caravan/node-0.sock")
		return err == nil
	})
	if err := embedded.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = embedded.Wait()
	m.run(t, 3*time.Minute, "make", "down")
	nothingLeft(t)
}

// killedDeployment kills the CLI and all that it started in the middle of its
// work: its lock, and operations that it knows no end of, remain.
func killedDeployment(t *testing.T, m machine) {
	m.run(t, 5*time.Minute, m.embedded(), "up")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	deployment := m.command(ctx, filepath.Join(m.root, "scripts/deploy.sh"), "local")
	deployment.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := deployment.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Minute, "the queue to be created", func() bool {
		_, _, err := m.try(20*time.Second, "kubectl", "get", "statefulset/queue", "--namespace=caravan")
		return err == nil
	})
	if err := syscall.Kill(-deployment.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = deployment.Wait()
}

func up(t *testing.T, m machine) {
	output := m.run(t, 10*time.Minute, "make", "up")
	for _, want := range []string{"bin/caravan load data/cities.csv", "make down"} {
		if !strings.Contains(output, want) {
			t.Errorf("make up does not tell what to type next: %q is missing in\n%s", want, output)
		}
	}
	if after := m.run(t, time.Minute, "git", "status", "--porcelain"); after != m.status {
		t.Errorf("make up has changed the checkout from\n%s\nto\n%s", m.status, after)
	}
}

func unchanged(t *testing.T, m machine) {
	m.run(t, 2*time.Minute, "make", "up")
	m.run(t, 2*time.Minute, "pulumi", "preview", "--stack=local", "--expect-no-changes")
	m.run(t, 2*time.Minute, "pulumi", "up", "--stack=local", "--yes", "--skip-preview", "--expect-no-changes")
	m.run(t, time.Minute, "sed", "-i", "/^encryptionsalt:/d", "Pulumi.local.yaml") // the CLI notes it beside the config
	m.caravan(t, time.Minute, "status")
}

func idle(t *testing.T, m machine) {
	eventually(t, 3*time.Minute, "no worker to be left", func() bool { return m.workers(t).Status.Replicas == 0 })
}

// loaded is what `caravan load --output json` reports.
type loaded struct {
	Loaded, AlreadyDone int
	Wait                struct{ Done, Dead, Duplicates int }
}

func (m machine) load(t *testing.T, deadline time.Duration, args ...string) loaded {
	t.Helper()
	output := m.caravan(t, deadline, append([]string{"load", "--output=json"}, args...)...)
	var report loaded
	if err := json.Unmarshal([]byte(output), &report); err != nil {
		t.Fatalf("caravan load does not report in JSON: %v\n%s", err, output)
	}
	return report
}

// wakeUp loads one message and waits for its answer, while no worker runs.
func wakeUp(t *testing.T, m machine) {
	report := m.load(t, 5*time.Minute, m.write(t, "one.jsonl", `{"id":"first","city":"Bern","country":"Switzerland"}`+"\n"), "--wait")
	if report.Wait.Done != 1 {
		t.Errorf("the load reports %+v, want one done", report)
	}
	idle(t, m)
}

func thousandCities(t *testing.T, m machine) {
	before := len(m.results(t))
	peak, stop := m.watchWorkers()
	start := time.Now()
	report := m.load(t, 15*time.Minute, "data/cities.csv", "--count=1000", "--wait")
	elapsed := time.Since(start)
	stop()
	t.Logf("1,000 messages in %.0f s (%.1f a second) with up to %d workers", elapsed.Seconds(), 1000/elapsed.Seconds(), peak.Load())
	want := loaded{Loaded: 1000}
	want.Wait.Done = 1000
	if report != want {
		t.Errorf("the load reports %+v, want %+v", report, want)
	}
	if peak.Load() < 2 {
		t.Errorf("%d workers at the peak, want several", peak.Load())
	}
	answered := m.results(t)
	for _, id := range cityIDs(t, m) {
		if len(answered[id]) == 0 {
			t.Errorf("city %s has no answer", id)
		}
	}
	if len(answered) != before+1000 {
		t.Errorf("%d results, want 1,000 distinct ones more than %d", len(answered), before)
	}
	idle(t, m)
}

// watchWorkers records the most workers that were ready at once, until stop is called.
func (m machine) watchWorkers() (peak *atomic.Int64, stop func()) {
	peak = &atomic.Int64{}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Second):
			}
			stdout, _, err := m.try(20*time.Second, "kubectl", "get", "deployment/worker", "--namespace=caravan", "--output=jsonpath={.status.readyReplicas}")
			var ready int64
			if err == nil && json.Unmarshal([]byte(stdout), &ready) == nil {
				peak.Store(max(peak.Load(), ready))
			}
		}
	}()
	return peak, func() { close(done); <-ended }
}

// results maps the id of each result to what the pipeline made of the answer.
func (m machine) results(t *testing.T) map[string]map[string]any {
	t.Helper()
	results := map[string]map[string]any{}
	for line := range strings.Lines(m.caravan(t, time.Minute, "results")) {
		var r struct {
			ID     string
			Result map[string]any
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("a result is not JSON: %v: %s", err, line)
		}
		if _, twice := results[r.ID]; twice {
			t.Errorf("two results for %s", r.ID)
		}
		results[r.ID] = r.Result
	}
	return results
}

func cityIDs(t *testing.T, m machine) []string {
	t.Helper()
	file, err := os.Open(filepath.Join(m.root, "data/cities.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, row := range rows[1:] {
		ids = append(ids, row[0])
	}
	return ids
}

func loadAgain(t *testing.T, m machine) {
	before := len(m.results(t))
	report := m.load(t, time.Minute, "data/cities.csv", "--count=1000", "--wait")
	if report.Loaded != 0 || report.AlreadyDone != 1000 {
		t.Errorf("the second load reports %+v, want 1,000 that are already done", report)
	}
	if after := len(m.results(t)); after != before {
		t.Errorf("%d results, want the same %d", after, before)
	}
}

func poison(t *testing.T, m machine) {
	file := m.write(t, "poison.jsonl", `{"id":"no-city","country":"Nowhere"}`+"\n"+`{"id":"good","city":"Bern","country":"Switzerland"}`+"\n")
	_, stderr, err := m.try(5*time.Minute, filepath.Join(m.root, "bin/caravan"), "load", file, "--wait")
	if err == nil {
		t.Errorf("caravan load exits with 0 although a message died:\n%s", stderr)
	}
	if letters := m.caravan(t, time.Minute, "dead", "list"); !strings.Contains(letters, "no-city") {
		t.Errorf("the poison is not among the dead letters:\n%s", letters)
	}
	if m.results(t)["good"] == nil {
		t.Error("the good message beside the poison has no result")
	}
	m.caravan(t, time.Minute, "dead", "purge", "--all", "--yes")
	if letters := m.caravan(t, time.Minute, "dead", "list"); strings.Contains(letters, "no-city") {
		t.Errorf("a purged letter is still there:\n%s", letters)
	}
}

// write puts a file where the test's programs find it.
func (m machine) write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func changedPipeline(t *testing.T, m machine) {
	const count = 400
	config := m.editedPipeline(t)
	messages := &strings.Builder{}
	for _, id := range cityIDs(t, m)[:count] {
		messages.WriteString(`{"id":"rolled-` + id + `","city":"City ` + id + `","country":"X"}` + "\n")
	}
	before := len(m.results(t))
	if report := m.load(t, time.Minute, m.write(t, "rolled.jsonl", messages.String())); report.Loaded != count {
		t.Fatalf("%d messages were loaded, want %d", report.Loaded, count)
	}
	eventually(t, 2*time.Minute, "the first answers", func() bool { return len(m.results(t)) > before })
	m.run(t, 5*time.Minute, "pulumi", "up", "--stack=local", "--config-file="+config, "--yes", "--skip-preview")
	m.caravan(t, 10*time.Minute, "watch", "--until-empty", "--output=json")
	kinds := map[bool]int{}
	for id, result := range m.results(t) {
		if strings.HasPrefix(id, "rolled-") {
			kinds[result["edited"] == true]++
		}
	}
	t.Logf("answered by the old pipeline: %d, by the new one: %d", kinds[false], kinds[true])
	if kinds[false]+kinds[true] != count || kinds[true] == 0 {
		t.Errorf("old and new answers are %v, want %d in all and some new ones", kinds, count)
	}
	if letters := m.caravan(t, time.Minute, "dead", "list", "--output=json"); strings.Contains(letters, "rolled-") {
		t.Errorf("messages died in the roll:\n%s", letters)
	}
}

// editedPipeline is the stack's config with a pipeline that marks its results.
func (m machine) editedPipeline(t *testing.T) string {
	t.Helper()
	pipeline, err := os.ReadFile(filepath.Join(m.root, "pipelines/mayors.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	edited := strings.Replace(string(pipeline), "result: |\n", "result: |\n  root.edited = true\n", 1)
	path := filepath.Join(m.root, "pipelines/e2e-edited.yaml")
	if err := os.WriteFile(path, []byte(edited), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(path) })
	config, err := os.ReadFile(filepath.Join(m.root, "Pulumi.local.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return m.write(t, "Pulumi.local.yaml", string(config)+"  caravan:pipeline: e2e-edited\n")
}

func down(t *testing.T, m machine) {
	// The stack within a minute, the cluster within another one.
	m.run(t, time.Minute, "pulumi", "destroy", "--stack=local", "--yes", "--skip-preview")
	m.run(t, time.Minute, "make", "down")
	nothingLeft(t)
}
