// Package checkout prepares what lies in the checkout's folder .caravan (ignored
// by git): links to the tools, the environment, Pulumi's state and plugins.
package checkout

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
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

// Tools is the folder of the tool modules.
func (c Checkout) Tools() string { return filepath.Join(c.Root, "embedded", "tools") }

// plugins are the providers, in the folder layout in which the Pulumi CLI keeps downloaded ones.
var plugins = map[string]string{
	"pulumi-resource-kubernetes": "resource-kubernetes-v" + toolchain.PulumiKubernetesVersion,
	"pulumi-resource-random":     "resource-random-v" + toolchain.PulumiRandomVersion,
}

// Link puts the built tools within reach: .caravan/bin for PATH, and the
// providers where the Pulumi CLI looks for plugins.
func (c Checkout) Link(built toolchain.Built) error {
	for name, target := range built {
		path := c.Path("bin", name)
		if folder, ok := plugins[name]; ok {
			path = c.Path("pulumi-home", "plugins", folder, name)
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

// Passphrase makes, once, the passphrase that encrypts the secrets in the local state.
func (c Checkout) Passphrase() error {
	path := c.Path("passphrase")
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return err
	}
	if err := os.MkdirAll(c.Path("state"), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(base64.RawStdEncoding.EncodeToString(random)), 0o600)
}

// Environment are the variables in which pulumi, kubectl and caravan work on the stack.
// Without kubeconfig the user's own stays in force.
func (c Checkout) Environment(kubeconfig string) map[string]string {
	environment := map[string]string{
		"PULUMI_HOME":                              c.Path("pulumi-home"),
		"PULUMI_BACKEND_URL":                       "file://" + c.Path("state"),
		"PULUMI_CONFIG_PASSPHRASE_FILE":            c.Path("passphrase"),
		"PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
		"PULUMI_SKIP_UPDATE_CHECK":                 "true",
		"PATH":                                     strings.Join([]string{filepath.Join(c.Root, "bin"), c.Path("bin")}, ":"),
	}
	if kubeconfig != "" {
		environment["KUBECONFIG"] = kubeconfig
	}
	return environment
}

// WriteEnvironment records the environment for programs that are called without it, PATH being what to prepend.
func (c Checkout) WriteEnvironment(environment map[string]string) error {
	var text strings.Builder
	for _, name := range sorted(environment) {
		fmt.Fprintf(&text, "%s=%s\n", name, environment[name])
	}
	return os.WriteFile(c.Path("env"), []byte(text.String()), 0o644)
}

// Exports are shell commands that set the recorded environment.
func (c Checkout) Exports() (string, error) {
	content, err := os.ReadFile(c.Path("env"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", errors.New("there is no environment yet: run `make up` first")
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

func sorted(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
