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

// DefaultStack is used when no stack is named and none is selected.
const DefaultStack = "local"

// ErrNoProject means that neither the working folder nor one above it holds a Pulumi.yaml.
var ErrNoProject = errors.New("no Pulumi.yaml here or in a folder above; run caravan inside the project, or name the queue with --redis-url")

// Project is a folder with a Pulumi.yaml and the environment its tools run in.
type Project struct {
	// Root is the folder's absolute path.
	Root string
	// Env is the caller's environment completed from EnvFile.
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
	if env, err = env.withFile(root); err != nil {
		return nil, err
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

// Stack returns the name of the stack to use: named, else the selected one, else DefaultStack.
func (p *Project) Stack(ctx context.Context, named string) (string, error) {
	if named != "" {
		return named, nil
	}
	out, err := p.pulumi(ctx, "stack", "--show-name")
	var failed *exec.ExitError
	switch {
	case err == nil && strings.TrimSpace(out) != "":
		return strings.TrimSpace(out), nil
	case err == nil, errors.As(err, &failed) && strings.Contains(err.Error(), "no stack selected"):
		return DefaultStack, nil
	}
	return "", fmt.Errorf("asking which stack is selected: %w", err)
}

// Outputs reads the stack's outputs. Errors say which step brings them about.
func (p *Project) Outputs(ctx context.Context, stack string) (*Outputs, error) {
	out, err := p.pulumi(ctx, "stack", "output", "--json", "--stack", stack)
	if err != nil && strings.Contains(err.Error(), "no stack named") {
		return nil, fmt.Errorf("there is no stack %q; %s", stack, create(stack))
	}
	if err != nil {
		return nil, fmt.Errorf("reading the outputs of stack %q: %w", stack, err)
	}
	var outputs Outputs
	if err := json.Unmarshal([]byte(out), &outputs); err != nil {
		return nil, fmt.Errorf("reading the outputs of stack %q: %w", stack, err)
	}
	if outputs.Queue.Name == "" || outputs.Queue.Service == "" {
		return nil, fmt.Errorf("stack %q has no outputs yet; %s", stack, create(stack))
	}
	return &outputs, nil
}

// create says how a stack comes into being.
func create(stack string) string {
	if stack == DefaultStack {
		return "create it with `make up` (or `pulumi up -s local`)"
	}
	return fmt.Sprintf("create it with `pulumi up -s %s`", stack)
}

// pulumi runs the Pulumi CLI in the project and returns its standard output.
// The error is an *exec.ExitError, wrapped with what the CLI printed.
func (p *Project) pulumi(ctx context.Context, args ...string) (string, error) {
	program, err := p.Env.lookPath("pulumi")
	if err != nil {
		return "", err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program, append(args, "--non-interactive")...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.Root, p.Env.Lines(), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if said := strings.TrimSpace(stderr.String()); said != "" {
			return "", fmt.Errorf("pulumi %s: %w: %s", strings.Join(args, " "), err, said)
		}
		return "", fmt.Errorf("pulumi %s: %w", strings.Join(args, " "), err)
	}
	return stdout.String(), nil
}
