package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const cgroupMount = "/sys/fs/cgroup"

// hierarchies are the roots of the machine's cgroups: one with the unified
// hierarchy (v2), one for each controller otherwise (v1).
func hierarchies() ([]string, bool, error) {
	if _, err := os.Stat(filepath.Join(cgroupMount, "cgroup.controllers")); err == nil {
		return []string{cgroupMount}, true, nil
	}
	entries, err := os.ReadDir(cgroupMount)
	if err != nil {
		return nil, false, fmt.Errorf("reading cgroups: %w", err)
	}
	var roots []string
	for _, e := range entries {
		if e.IsDir() {
			roots = append(roots, filepath.Join(cgroupMount, e.Name()))
		}
	}
	return roots, false, nil
}

// makeCgroups makes a cgroup in every hierarchy, with the controllers passed down to it.
func makeCgroups(path string) error {
	roots, unified, err := hierarchies()
	if err != nil {
		return err
	}
	for _, root := range roots {
		dir := root
		for _, part := range strings.Split(strings.Trim(path, "/"), "/") {
			if err := passDown(root, dir, unified); err != nil {
				return err
			}
			dir = filepath.Join(dir, part)
			if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("making cgroup %s: %w", dir, err)
			}
			if err := inheritCpuset(dir); err != nil {
				return err
			}
		}
		if err := passDown(root, dir, unified); err != nil {
			return err
		}
	}
	return nil
}

// needed are the controllers that the kubelet and runc use.
var needed = []string{"cpu", "cpuset", "memory", "pids", "hugetlb", "io"}

// passDown makes a v2 cgroup hand its controllers to its children.
func passDown(root, dir string, unified bool) error {
	if !unified {
		return nil
	}
	controllers, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, controller := range strings.Fields(string(controllers)) {
		if !slices.Contains(needed, controller) {
			continue
		}
		err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controller), 0o644)
		if errors.Is(err, syscall.EBUSY) {
			return fmt.Errorf("%s holds processes, so its cgroups can have no children: run this on the machine itself, not in a container: %w", dir, err)
		}
		if err != nil {
			return fmt.Errorf("passing the controller %s down to %s: %w", controller, dir, err)
		}
	}
	return nil
}

// inheritCpuset copies a v1 cpuset from the parent: a new one is empty and takes no process.
func inheritCpuset(dir string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, file), value, 0o644); err != nil && !strings.HasPrefix(dir, filepath.Join(cgroupMount, "unified")) {
			return fmt.Errorf("setting %s of %s: %w", file, dir, err)
		}
	}
	return nil
}

// cgroupProcesses are the processes below a cgroup, in any hierarchy.
func cgroupProcesses(path string) (map[int]bool, error) {
	found := map[int]bool{}
	return found, eachCgroup(path, func(dir string) error {
		content, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			return nil //nolint:nilerr // the cgroup ended meanwhile, and its processes with it
		}
		for _, field := range strings.Fields(string(content)) {
			var pid int
			if _, err := fmt.Sscan(field, &pid); err == nil {
				found[pid] = true
			}
		}
		return nil
	})
}

// removeCgroups removes a cgroup with all below it, deepest first; its processes must be gone.
func removeCgroups(path string) error {
	var last error
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		last = eachCgroup(path, func(dir string) error {
			if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("removing cgroup: %w", err)
			}
			return nil
		})
		if last == nil {
			return nil
		}
	}
	return last
}

// eachCgroup visits a cgroup and all below it in every hierarchy, children first.
func eachCgroup(path string, visit func(dir string) error) error {
	roots, _, err := hierarchies()
	if err != nil {
		return err
	}
	var failed error
	for _, root := range roots {
		var dirs []string
		_ = filepath.WalkDir(filepath.Join(root, path), func(dir string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, dir)
			}
			return nil
		})
		for i := len(dirs) - 1; i >= 0; i-- {
			failed = errors.Join(failed, visit(dirs[i]))
		}
	}
	return failed
}
