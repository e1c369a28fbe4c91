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

// EnvFile is where `make up` records the environment that its cluster and its
// state backend need, relative to the project's root: lines KEY=VALUE.
const EnvFile = ".caravan/env"

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

// withFile adds what the project's EnvFile says for variables that e does not
// set; its PATH is put before e's. A project without the file changes nothing.
func (e Env) withFile(root string) (Env, error) {
	file := filepath.Join(root, EnvFile)
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return e, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the environment of the project: %w", err)
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
			return nil, fmt.Errorf("%s:%d: %q is not KEY=VALUE; write it anew with `make up`", file, number, line)
		}
		switch {
		case key == "PATH" && merged[key] != "":
			merged[key] = value + string(os.PathListSeparator) + merged[key]
		case merged[key] == "":
			merged[key] = value
		}
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
