package project

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// EnvFile is where `make up` records the environment in which a stack's tools
// work, as lines KEY=VALUE: a path relative to the project's root. Only stacks
// that `make up` brings up have the file.
func EnvFile(stack string) string {
	return filepath.Join(".caravan", filepath.Base(stack), "env") // a full name is organization/project/stack
}

// Env is an environment: name → value.
type Env map[string]string

// ParseEnv reads lines of the form KEY=VALUE as os.Environ returns them.
func ParseEnv(lines []string) Env {
	env := make(Env, len(lines))
	for _, line := range lines {
		if key, value, ok := strings.Cut(line, "="); ok {
			env[key] = value
		}
	}
	return env
}

// Lines is the environment as exec.Cmd wants it, sorted.
func (e Env) Lines() []string {
	lines := make([]string, 0, len(e))
	for key, value := range e {
		lines = append(lines, key+"="+value)
	}
	slices.Sort(lines)
	return lines
}

// withFile sets what the stack's EnvFile says, over what e says: a KUBECONFIG of
// the user's must not send the stack's commands to another cluster. The file's
// PATH is put before e's. Without the file e is returned as it is.
func (e Env) withFile(root, stack string) (Env, error) {
	file := filepath.Join(root, EnvFile(stack))
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return e, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the environment of stack %q: %w", stack, err)
	}
	merged := make(Env, len(e))
	for key, value := range e {
		merged[key] = value
	}
	scanner := bufio.NewScanner(bytes.NewReader(text))
	for number := 1; scanner.Scan(); number++ {
		line := strings.TrimSpace(scanner.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("%s:%d: %q is not KEY=VALUE; delete the file and bring the stack up again", file, number, line)
		}
		if key == "PATH" && merged[key] != "" {
			value += string(os.PathListSeparator) + merged[key]
		}
		merged[key] = value
	}
	return merged, scanner.Err()
}

// lookPath finds an executable on the environment's PATH.
func (e Env) lookPath(name string) (string, error) {
	for _, dir := range filepath.SplitList(e["PATH"]) {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 && filepath.IsAbs(file) {
			return file, nil
		}
	}
	return "", fmt.Errorf("the program %q is not on the PATH; run `make up` first, which builds it, or install it", name)
}
