package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// nothingLeft looks for traces of the cluster on this machine with the system's
// own tools, not with the code that removed them.
func nothingLeft(t *testing.T) {
	t.Helper()
	for what, found := range map[string][]string{
		"process":           grep(t, "/run/caravan\x00/var/lib/caravan", processes(t)),
		"mount":             grep(t, " /run/caravan\x00 /var/lib/caravan", output(t, "cat", "/proc/self/mountinfo")),
		"network namespace": grep(t, "caravan-node-\x00cni-", output(t, "ip", "netns", "list")),
		"interface":         grep(t, "caravan", output(t, "ip", "-oneline", "link")),
		"route":             grep(t, "10.244.\x0010.89.0.", output(t, "ip", "route")),
		"iptables chain":    grep(t, "KUBE-\x00CNI-\x00caravan", output(t, "iptables-save")),
		"cgroup":            grep(t, "caravan", cgroups(t)),
		"folder":            existing("/var/lib/caravan", "/run/caravan"),
		"shim's socket":     grep(t, "/", glob(t, "/run/containerd/s/*")),
	} {
		for _, f := range found {
			t.Errorf("%s left behind: %s", what, strings.ReplaceAll(f, "\x00", " "))
		}
	}
}

// grep returns the lines that contain one of the words (separated by NUL).
func grep(t *testing.T, words string, lines []string) []string {
	t.Helper()
	var found []string
	for _, line := range lines {
		for _, word := range strings.Split(words, "\x00") {
			if strings.Contains(line, word) {
				found = append(found, line)
				break
			}
		}
	}
	return found
}

func output(t *testing.T, name string, args ...string) []string {
	t.Helper()
	content, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return strings.Split(strings.TrimSpace(string(content)), "\n")
}

// processes are the command lines of all processes.
func processes(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, file := range files {
		if content, err := os.ReadFile(file); err == nil { // it may have ended meanwhile
			lines = append(lines, string(content))
		}
	}
	return lines
}

func cgroups(t *testing.T) []string {
	t.Helper()
	return append(glob(t, "/sys/fs/cgroup/*"), glob(t, "/sys/fs/cgroup/*/*")...)
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func existing(paths ...string) []string {
	var found []string
	for _, path := range paths {
		if _, err := os.Stat(path); err == nil {
			found = append(found, path)
		}
	}
	return found
}
