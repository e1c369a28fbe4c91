package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Down ends the cluster and removes all that it made. It works from whatever
// state an interrupted up or down has left, and on a machine without a cluster.
func (c *Cluster) Down(ctx context.Context) error {
	if err := c.CheckOwner(); err != nil {
		return err
	}
	services, err := c.Supervisor.Services()
	if err != nil {
		return err
	}
	for _, n := range nodesOf(services) {
		if err := c.stopNode(n); err != nil {
			return err
		}
	}
	for _, component := range []string{"kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd"} {
		if err := c.Supervisor.Stop(component, stopDeadline); err != nil {
			return err
		}
	}
	if err := errors.Join(c.Supervisor.Quit(), killPods(podsCgroup), killStrays()); err != nil {
		return err
	}
	if err := errors.Join(unmountAll(ctx), removeNetworks(ctx), removeCgroups(podsCgroup), restoreSysctls(), removeMadeFolders()); err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(RunDir), os.RemoveAll(StateDir)); err != nil {
		return err
	}
	if left := Leftovers(ctx); len(left) > 0 {
		return fmt.Errorf("these remain of the cluster: %s", strings.Join(left, "; "))
	}
	return nil
}

// stopDeadline is what a process gets to end by itself. Nothing of a throw-away
// cluster is worth a longer wait; the API server alone would take a minute.
const stopDeadline = 2 * time.Second

// stopNode ends a node's processes and pods: the kubelet first, or it would
// start again what is being stopped.
func (c *Cluster) stopNode(n Node) error {
	for _, component := range []string{"kubelet", "kube-proxy"} {
		if err := c.Supervisor.Stop(n.service(component), stopDeadline); err != nil {
			return err
		}
	}
	if err := killPods(n.cgroup()); err != nil {
		return err
	}
	return c.Supervisor.Stop(n.service("containerd"), stopDeadline)
}

// podsCgroup holds the cgroups of all nodes.
const podsCgroup = "/caravan"

// killPods ends the processes of the pods below a cgroup: a node's, or podsCgroup
// for those of nodes whose service folders are gone.
func killPods(cgroup string) error {
	return kill("pods", func() (map[int]bool, error) { return cgroupProcesses(cgroup) })
}

// killStrays ends what outlives the supervisor: containers' shims, and processes
// whose supervisor was killed. They are told by the cluster's paths in their arguments.
func killStrays() error { return kill("processes", strays) }

func kill(what string, find func() (map[int]bool, error)) error {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		found, err := find()
		if err != nil || len(found) == 0 {
			return err
		}
		for pid := range found {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended meanwhile
		}
	}
	return fmt.Errorf("ending %s: some are still there 10 s after SIGKILL", what)
}

func strays() (map[int]bool, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	found := map[int]bool{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() || ofThisCall(pid) {
			continue
		}
		arguments, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err != nil {
			continue // it ended meanwhile
		}
		folder, _ := os.Readlink(filepath.Join("/proc", e.Name(), "cwd"))
		if ofCluster(strings.Split(string(arguments), "\x00"), folder) {
			found[pid] = true
		}
	}
	return found, nil
}

// programs are what the cluster runs, and what a killed `embedded up` may leave
// running; only they are ever ended by name.
var programs = []string{"s6-svscan", "s6-supervise", "s6-log", "containerd", "containerd-shim-runc-v2",
	"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy",
	"ctr", "kubeadm", "kubectl"}

// ofCluster is whether a process is one of the cluster's, told by its arguments
// or the folder it runs in: a supervisor of one service names no path.
func ofCluster(arguments []string, folder string) bool {
	if !slices.Contains(programs, filepath.Base(arguments[0])) {
		return false
	}
	return slices.ContainsFunc(append(arguments[1:], folder+"/"), func(a string) bool {
		return strings.Contains(a, StateDir+"/") || strings.Contains(a, RunDir+"/")
	})
}

// ofThisCall is whether a process is an ancestor of this one, whose arguments may name the same paths.
func ofThisCall(pid int) bool {
	for p := os.Getppid(); p > 1; {
		if p == pid {
			return true
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p))
		if err != nil {
			return false
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(fields) < 2 {
			return false
		}
		p, _ = strconv.Atoi(fields[1])
	}
	return false
}

// mounts are the mount points below the cluster's folders, innermost first.
func mounts() ([]string, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	var found []string
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		if fields := strings.Fields(scanner.Text()); len(fields) > 4 {
			if point := fields[4]; strings.HasPrefix(point, StateDir+"/") || strings.HasPrefix(point, RunDir+"/") {
				found = append(found, point)
			}
		}
	}
	slices.Reverse(found)
	return found, nil
}

func unmountAll(ctx context.Context) error {
	points, err := mounts()
	if err != nil {
		return err
	}
	var failed error
	for _, point := range points {
		_, err := run(ctx, "umount", "--lazy", point)
		failed = errors.Join(failed, err)
	}
	return failed
}

func removeNetworks(ctx context.Context) error {
	var failed error
	for _, namespace := range namespaces() {
		_, err := run(ctx, "ip", "netns", "delete", namespace)
		failed = errors.Join(failed, err)
	}
	for _, link := range links() {
		// A cable vanishes with its namespace, a little later.
		if _, err := run(ctx, "ip", "link", "delete", link); err != nil && slices.Contains(links(), link) {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

func namespaces() []string { return namesIn("/run/netns", regexp.MustCompile(`^caravan-node-\d+$`)) }

func links() []string { return namesIn("/sys/class/net", regexp.MustCompile(`^caravan(0|-n\d+)$`)) }

func namesIn(dir string, ours *regexp.Regexp) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // no such folder: none of them
	}
	var names []string
	for _, e := range entries {
		if ours.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names
}

// Leftovers names everything of a cluster that is still on this machine:
// processes, mounts, network namespaces, interfaces, cgroups, folders.
func Leftovers(_ context.Context) []string {
	var left []string
	for _, namespace := range namespaces() {
		left = append(left, "network namespace "+namespace)
	}
	for _, link := range links() {
		left = append(left, "interface "+link)
	}
	points, err := mounts()
	if err != nil {
		left = append(left, err.Error())
	}
	for _, point := range points {
		left = append(left, "mount "+point)
	}
	pids, err := strays()
	if err != nil {
		left = append(left, err.Error())
	}
	for pid := range pids {
		left = append(left, fmt.Sprintf("process %d", pid))
	}
	if err := eachCgroup(podsCgroup, func(dir string) error { left = append(left, "cgroup "+dir); return nil }); err != nil {
		left = append(left, err.Error())
	}
	for _, dir := range []string{StateDir, RunDir} {
		if _, err := os.Stat(dir); err == nil {
			left = append(left, "folder "+dir)
		}
	}
	slices.Sort(left)
	return left
}
