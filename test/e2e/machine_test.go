// Package e2e drives Caravan as a person does, through make, pulumi, kubectl
// and bin/caravan, on the embedded cluster of this machine. Nothing is mocked.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// machine is this machine with the checkout under test.
type machine struct {
	root string
	// status is git's view of the checkout before the test.
	status string
}

func newMachine(t *testing.T) machine {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		t.Fatal("the end-to-end tests need root: they start a cluster on this machine")
	}
	return machine{root: root}
}

// environment is what `make env` prints, for programs started by the tests.
func (m machine) environment() []string {
	environment := os.Environ()
	content, err := os.ReadFile(filepath.Join(m.root, ".caravan", "local", "env"))
	if err != nil {
		return environment // before the first up there is none
	}
	for line := range strings.Lines(string(content)) {
		line = strings.TrimSpace(line)
		if value, ok := strings.CutPrefix(line, "PATH="); ok {
			line = "PATH=" + value + ":" + os.Getenv("PATH")
		}
		environment = append(environment, line)
	}
	return environment
}

// command is a program of the checkout that is killed at the deadline.
func (m machine) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	environment := m.environment()
	if !strings.Contains(name, "/") {
		for _, e := range environment {
			if path, ok := strings.CutPrefix(e, "PATH="); ok {
				name = lookPath(path, name)
			}
		}
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = m.root, environment
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

func lookPath(path, name string) string {
	for _, dir := range filepath.SplitList(path) {
		if file := filepath.Join(dir, name); isExecutable(file) {
			return file
		}
	}
	return name
}

func isExecutable(file string) bool {
	info, err := os.Stat(file)
	return err == nil && !info.IsDir() && info.Mode()&0o111 != 0
}

// try runs a program and returns its standard output, its standard error and how it ended.
func (m machine) try(deadline time.Duration, name string, args ...string) (string, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	cmd := m.command(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		err = errors.Join(err, ctx.Err())
	}
	return stdout.String(), stderr.String(), err
}

// run runs a program that must succeed before the deadline.
func (m machine) run(t *testing.T, deadline time.Duration, name string, args ...string) string {
	t.Helper()
	start := time.Now()
	stdout, stderr, err := m.try(deadline, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s\n%s", name, strings.Join(args, " "), err, stdout, stderr)
	}
	t.Logf("%s %s: %.1f s", filepath.Base(name), strings.Join(args, " "), time.Since(start).Seconds())
	return stdout
}

// caravan runs bin/caravan.
func (m machine) caravan(t *testing.T, deadline time.Duration, args ...string) string {
	t.Helper()
	return m.run(t, deadline, filepath.Join(m.root, "bin", "caravan"), args...)
}

// workers are the replicas of the worker deployment.
type workers struct {
	Spec   struct{ Replicas int }
	Status struct{ Replicas, ReadyReplicas int }
}

func (m machine) workers(t *testing.T) workers {
	t.Helper()
	var w workers
	m.object(t, &w, "deployment/worker")
	return w
}

// object reads an object of the application's namespace.
func (m machine) object(t *testing.T, into any, name string) {
	t.Helper()
	stdout, stderr, err := m.try(20*time.Second, "kubectl", "get", name, "--namespace=caravan", "--output=json")
	if err != nil {
		t.Fatalf("reading %s: %v: %s", name, err, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), into); err != nil {
		t.Fatalf("reading %s: %v", name, err)
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, deadline time.Duration, what string, condition func() bool) {
	t.Helper()
	start := time.Now()
	for !condition() {
		if time.Since(start) > deadline {
			t.Fatalf("waited %s for %s", deadline, what)
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Logf("%s: after %.1f s", what, time.Since(start).Seconds())
}
