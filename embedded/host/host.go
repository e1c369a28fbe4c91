// Package host checks that this machine can run the embedded cluster and
// installs the Debian packages that it needs.
package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// MinMemoryMiB is what the cluster, KEDA, Redis and four tiny workers take, with room to build.
const MinMemoryMiB = 6 * 1024

// RunPackages are the Debian packages that the cluster needs, BuildPackages those that its tools are built with.
var (
	RunPackages = []string{"containerd", "runc", "containernetworking-plugins", "ca-certificates", "iptables", "iproute2", "conntrack",
		"redis-server", "haproxy", "s6", "busybox-static", "procps", "util-linux"}
	BuildPackages = []string{"nlohmann-json3-dev", "libstb-dev"}
)

// Machine are the facts that decide whether the embedded cluster can run.
type Machine struct {
	// OS and Arch are Go's names of them.
	OS, Arch string
	// UserID is 0 for root.
	UserID int
	// MemoryMiB is what is available without swapping.
	MemoryMiB int
}

// This is the machine that the program runs on.
func This() (Machine, error) {
	m := Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, UserID: os.Geteuid()}
	if m.OS != "linux" {
		return m, nil
	}
	var err error
	m.MemoryMiB, err = availableMiB()
	return m, err
}

// Check refuses a machine that cannot run the cluster: a line for each reason, that says what to do.
func (m Machine) Check() error {
	const instead = "use a cluster of your own: make up CLUSTER=kubeconfig"
	if m.OS != "linux" || m.Arch != "amd64" {
		return fmt.Errorf("the embedded cluster needs Linux on amd64 and this is %s on %s: %s", m.OS, m.Arch, instead)
	}
	var faults []error
	if m.UserID != 0 {
		faults = append(faults, errors.New("the embedded cluster needs root (it makes network namespaces and mounts): run it with sudo, or "+instead))
	}
	if m.MemoryMiB < MinMemoryMiB {
		faults = append(faults, fmt.Errorf("%d MiB of memory are available and %d are needed: stop something, or use a larger machine", m.MemoryMiB, MinMemoryMiB))
	}
	return errors.Join(faults...)
}

// FreeDisk refuses when the disk of a folder has less room than is needed.
func FreeDisk(dir string, neededGiB int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return fmt.Errorf("reading the free space of %s: %w", dir, err)
	}
	if free := int(disk.Bavail * uint64(disk.Bsize) >> 30); free < neededGiB {
		return fmt.Errorf("%d GiB are free in %s and about %d are needed to build the tools: make room, or set CARAVAN_CACHE to a folder on a larger disk", free, dir, neededGiB)
	}
	return nil
}

func availableMiB() (int, error) {
	file, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	defer func() { _ = file.Close() }()
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		if fields := strings.Fields(scanner.Text()); len(fields) > 1 && fields[0] == "MemAvailable:" {
			kib, err := strconv.Atoi(fields[1])
			return kib / 1024, err
		}
	}
	return 0, errors.New("reading available memory: /proc/meminfo has no MemAvailable")
}

// Programs refuses when one of the programs is not on PATH.
func Programs(names ...string) error {
	var faults []error
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			faults = append(faults, fmt.Errorf("%s is missing: install it (apt-get install gcc g++ make git; Go from https://go.dev/dl)", name))
		}
	}
	return errors.Join(faults...)
}

// FreePorts refuses when one of the ports is taken on an address that the cluster would use.
func FreePorts(address string, ports ...int) error {
	var faults []error
	for _, port := range ports {
		listener, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(port)))
		if err != nil {
			faults = append(faults, fmt.Errorf("port %d is in use (%w): find its owner with `ss -ltnp sport = :%d` and stop it", port, err, port))
			continue
		}
		if err := listener.Close(); err != nil {
			return err
		}
	}
	return errors.Join(faults...)
}

// provided are programs that other packages may bring, Docker's for one; then
// Debian's would push them out.
var provided = map[string]string{"containerd": "containerd", "runc": "runc"}

// Missing lists the packages that are not installed.
func Missing(packages []string) []string {
	var missing []string
	for _, p := range packages {
		if program, ok := provided[p]; ok {
			if _, err := exec.LookPath(program); err == nil {
				continue
			}
		}
		output, err := exec.Command("dpkg-query", "-W", "-f", "${db:Status-Abbrev}", p).Output()
		if err != nil || !strings.HasPrefix(string(output), "ii") {
			missing = append(missing, p)
		}
	}
	return missing
}

// refuseServices keeps packages from starting their daemons while they are
// installed (https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt):
// the cluster runs its own containerd, Redis and HAProxy, and the machine's owner asked for none.
const refuseServices = "#!/bin/sh\n# Made by Caravan while it installs packages; safe to delete.\nexit 101\n"

const policyFile = "/usr/sbin/policy-rc.d"

// Install installs Debian packages without starting their services and without
// removing others. It is not interrupted by the context: half-installed packages
// would stand in the way of every later attempt.
func Install(ctx context.Context, packages []string) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("apt-get is not here: install these by hand: %s", strings.Join(packages, " "))
	}
	ctx = context.WithoutCancel(ctx)
	current, err := os.ReadFile(policyFile)
	if errors.Is(err, os.ErrNotExist) || string(current) == refuseServices { // ours, of a run that was killed
		if err := os.WriteFile(policyFile, []byte(refuseServices), 0o755); err != nil {
			return err
		}
		defer func() { _ = os.Remove(policyFile) }()
	}
	install := append([]string{"install", "-y", "-qq", "--no-remove", "--no-install-recommends"}, packages...)
	if apt(ctx, install...) == nil {
		return nil
	}
	// The package lists may be old or missing.
	if err := apt(ctx, "update", "-qq"); err != nil {
		return err
	}
	return apt(ctx, install...)
}

func apt(ctx context.Context, args ...string) error {
	// Others may be installing: a new machine upgrades itself.
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-o", "DPkg::Lock::Timeout=300"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us alone
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, output)
	}
	return nil
}
