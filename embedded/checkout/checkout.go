// Package checkout prepares what lies in the checkout's folder .caravan (ignored
// by git): links to the tools, and for each stack that `make up` knows a folder
// with its environment, Pulumi's state, plugins and passphrase. So the stacks
// share nothing: neither state, nor the plugins that only the embedded one may use.
package checkout

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"caravan.dev/embedded/toolchain"
)

// Checkout is a clone of the repository.
type Checkout struct{ Root string }

// Find is the checkout that a folder lies in: the nearest parent with a Pulumi.yaml.
func Find(dir string) (Checkout, error) {
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "Pulumi.yaml")); err == nil {
			return Checkout{d}, nil
		}
		if d == filepath.Dir(d) {
			return Checkout{}, fmt.Errorf("%s is not inside a checkout of Caravan (no Pulumi.yaml here or above)", dir)
		}
	}
}

// Path is a path below .caravan.
func (c Checkout) Path(parts ...string) string {
	return filepath.Join(append([]string{c.Root, ".caravan"}, parts...)...)
}

// Stack is a stack's part of the checkout.
type Stack struct {
	Checkout
	// Name is the stack's.
	Name string
}

// The stacks that `make up` brings up.
const (
	Local      = "local"
	Kubeconfig = "kubeconfig"
)

// Path is a path below the stack's folder.
func (s Stack) Path(parts ...string) string {
	return s.Checkout.Path(append([]string{s.Name}, parts...)...)
}

// Tools is the folder of the tool modules.
func (c Checkout) Tools() string { return filepath.Join(c.Root, "embedded", "tools") }

// plugins are the providers, in the folder layout in which the Pulumi CLI keeps downloaded ones.
var plugins = map[string]string{
	"pulumi-resource-kubernetes": "resource-kubernetes-v" + toolchain.PulumiKubernetesVersion,
	"pulumi-resource-random":     "resource-random-v" + toolchain.PulumiRandomVersion,
}

// Link puts the built tools within reach: .caravan/bin for PATH, and the
// providers where the Pulumi CLI looks for the plugins of the stack `local`.
func (c Checkout) Link(built toolchain.Built) error {
	for name, target := range built {
		path := c.Path("bin", name)
		if folder, ok := plugins[name]; ok {
			path = Stack{c, Local}.Path("pulumi-home", "plugins", folder, name)
		}
		if err := link(target, path); err != nil {
			return err
		}
	}
	if _, err := os.Stat(haproxy); err != nil {
		return nil // not a machine for the embedded cluster
	}
	return link(haproxy, c.Path("bin", "haproxy"))
}

// haproxy is where Debian installs HAProxy, outside of the PATH of many users.
const haproxy = "/usr/sbin/haproxy"

func link(target, path string) error {
	if current, err := os.Readlink(path); err == nil && current == target {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Symlink(target, path)
}

// Prepare makes the stack's folder for state and, once, the passphrase that
// encrypts the secrets in it, and records the environment.
func (s Stack) Prepare(kubeconfig string) error {
	if err := os.MkdirAll(s.Path("state"), 0o700); err != nil {
		return err
	}
	if err := s.passphrase(); err != nil {
		return err
	}
	return s.writeEnvironment(s.environment(kubeconfig))
}

func (s Stack) passphrase() error {
	path := s.Path("passphrase")
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(base64.RawStdEncoding.EncodeToString(random)), 0o600)
}

// environment are the variables in which pulumi, kubectl and caravan work on the stack.
// Without kubeconfig the user's own stays in force.
func (s Stack) environment(kubeconfig string) map[string]string {
	c := s.Checkout
	environment := map[string]string{
		"PULUMI_HOME":                              s.Path("pulumi-home"),
		"PULUMI_BACKEND_URL":                       "file://" + s.Path("state"),
		"PULUMI_CONFIG_PASSPHRASE_FILE":            s.Path("passphrase"),
		"PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
		"PULUMI_SKIP_UPDATE_CHECK":                 "true",
		"PATH":                                     strings.Join([]string{filepath.Join(c.Root, "bin"), c.Path("bin")}, ":"),
	}
	if kubeconfig != "" {
		environment["KUBECONFIG"] = kubeconfig
		environment["NO_PROXY"] = strings.TrimPrefix(os.Getenv("NO_PROXY")+",10.89.0.1", ",")
	}
	return environment
}

// writeEnvironment records the environment for programs that are called without it, PATH being what to prepend.
func (s Stack) writeEnvironment(environment map[string]string) error {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(environment)) {
		fmt.Fprintf(&text, "%s=%s\n", name, environment[name])
	}
	return os.WriteFile(s.Path("env"), []byte(text.String()), 0o644)
}

// Exports are shell commands that set the recorded environment.
func (s Stack) Exports() (string, error) {
	content, err := os.ReadFile(s.Path("env"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("the stack %s has no environment yet: run `make up` first (`make up CLUSTER=kubeconfig` for the stack kubeconfig)", s.Name)
	}
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for line := range strings.Lines(string(content)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
		if name == "PATH" {
			value += `:"$PATH"`
		}
		fmt.Fprintf(&text, "export %s=%s\n", name, value)
	}
	return text.String(), nil
}
