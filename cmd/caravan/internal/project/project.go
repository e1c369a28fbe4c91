// Package project finds the Pulumi project that the user stands in and reads
// what its stack says about the running system.
package project

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// DefaultStack is used when no stack is named, recorded or selected.
const DefaultStack = "local"

// recordedBy are the stacks that have an EnvFile once they are brought up, and
// the command that does so; the first recorded one is meant when none is named.
var recordedBy = []struct{ stack, command string }{
	{DefaultStack, "make up"},
	{"kubeconfig", "make up CLUSTER=kubeconfig"},
}

// ErrNoProject means that neither the working folder nor one above it holds a Pulumi.yaml.
var ErrNoProject = errors.New("no Pulumi.yaml here or in a folder above; run caravan inside the project, or name the queue with --redis-url")

// Project is a folder with a Pulumi.yaml.
type Project struct {
	// Root is the folder's absolute path.
	Root string
	// Env is the caller's environment.
	Env Env
}

// Stack is one stack of a project.
type Stack struct {
	Name string
	// Root is the project's folder.
	Root string
	// Env is what the stack's tools run in: the caller's environment, overridden by EnvFile.
	Env Env
}

// Find returns the project that dir lies in.
func Find(dir string, env Env) (*Project, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("finding the project: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "Pulumi.yaml")); err == nil {
			break
		}
		parent := filepath.Dir(root)
		if parent == root {
			return nil, ErrNoProject
		}
		root = parent
	}
	return &Project{Root: root, Env: env}, nil
}

// Outputs is what a stack exports for this program.
type Outputs struct {
	// Namespace holds the queue and the workers.
	Namespace string  `json:"namespace"`
	Cluster   Cluster `json:"cluster"`
	Queue     Queue   `json:"queue"`
	Worker    Worker  `json:"worker"`
	// Plan is the derived plan as text.
	Plan string `json:"plan"`
}

// Cluster says how the cluster is reached.
type Cluster struct {
	// Kind is embedded, kubeconfig or eks.
	Kind string `json:"kind"`
	// Context is the kubeconfig context; empty means the current one.
	Context string `json:"context"`
}

// Queue says where the queue is.
type Queue struct {
	// Name prefixes every Redis key.
	Name string `json:"name"`
	// Mode is stream or list.
	Mode string `json:"mode"`
	// Service and Port are the Kubernetes Service in front of Redis.
	Service string `json:"service"`
	Port    int    `json:"port"`
	// Secret holds the password under PasswordKey.
	Secret      string `json:"secret"`
	PasswordKey string `json:"passwordKey"`
}

// Worker names the workers' objects.
type Worker struct {
	Deployment   string `json:"deployment"`
	ScaledObject string `json:"scaledObject"`
}

// Stack returns the stack to use: the named one; else the one that
// `make up` has recorded, local before kubeconfig; else the one selected in the
// caller's Pulumi workspace; else DefaultStack.
func (p *Project) Stack(ctx context.Context, named string) (*Stack, error) {
	name, err := p.stackName(ctx, named)
	if err != nil {
		return nil, err
	}
	env, err := p.Env.withFile(p.Root, name)
	if err != nil {
		return nil, err
	}
	return &Stack{Name: name, Root: p.Root, Env: env}, nil
}

// stackName asks Pulumi only where the answer can matter: a recorded stack has a
// Pulumi home of its own, which the caller's selection says nothing about.
func (p *Project) stackName(ctx context.Context, named string) (string, error) {
	if named != "" {
		return named, nil
	}
	for _, recorded := range recordedBy {
		if _, err := os.Stat(filepath.Join(p.Root, EnvFile(recorded.stack))); err == nil {
			return recorded.stack, nil
		}
	}
	out, err := pulumi(ctx, p.Root, p.Env, "stack", "--show-name")
	var failed *exec.ExitError
	switch {
	case err == nil && strings.TrimSpace(out) != "":
		return strings.TrimSpace(out), nil
	case err == nil, errors.As(err, &failed) && strings.Contains(err.Error(), "no stack selected"):
		return DefaultStack, nil
	}
	return "", fmt.Errorf("asking which stack is selected (--stack names one): %w", err)
}

// Outputs reads the stack's outputs. Errors say which step brings them about.
func (s *Stack) Outputs(ctx context.Context) (*Outputs, error) {
	out, err := pulumi(ctx, s.Root, s.Env, "stack", "output", "--json", "--stack", s.Name)
	if err != nil && strings.Contains(err.Error(), "no stack named") {
		return nil, fmt.Errorf("there is no stack %q; %s", s.Name, create(s.Name))
	}
	if err != nil {
		return nil, fmt.Errorf("reading the outputs of stack %q: %w", s.Name, err)
	}
	var outputs Outputs
	if err := json.Unmarshal([]byte(out), &outputs); err != nil {
		return nil, fmt.Errorf("reading the outputs of stack %q: %w", s.Name, err)
	}
	if outputs.Queue.Name == "" || outputs.Queue.Service == "" {
		return nil, fmt.Errorf("stack %q has no outputs yet; %s", s.Name, create(s.Name))
	}
	return &outputs, nil
}

// create says how a stack comes into being.
func create(stack string) string {
	for _, recorded := range recordedBy {
		if stack == recorded.stack {
			return fmt.Sprintf("create it with `%s`", recorded.command)
		}
	}
	return fmt.Sprintf("create it with `pulumi up -s %s`", stack)
}

// pulumi runs the Pulumi CLI in the project and returns its standard output.
// The error is an *exec.ExitError, wrapped with what the CLI printed.
func pulumi(ctx context.Context, root string, env Env, args ...string) (string, error) {
	program, err := env.lookPath("pulumi")
	if err != nil {
		return "", err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program, append(args, "--non-interactive")...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = root, env.Lines(), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if said := strings.TrimSpace(stderr.String()); said != "" {
			return "", fmt.Errorf("pulumi %s: %w: %s", strings.Join(args, " "), err, said)
		}
		return "", fmt.Errorf("pulumi %s: %w", strings.Join(args, " "), err)
	}
	return stdout.String(), nil
}
