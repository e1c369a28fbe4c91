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
)

// MinMemoryMiB is what the cluster, KEDA, Redis and four tiny workers take, with room to build.
const MinMemoryMiB = 6 * 1024

// RunPackages are the Debian packages that the cluster needs, BuildPackages those that its tools are built with.
var (
	RunPackages = []string{"containerd", "runc", "containernetworking-plugins", "iptables", "iproute2", "conntrack",
		"redis-server", "haproxy", "s6", "busybox-static", "procps", "util-linux"}
	BuildPackages = []string{"nlohmann-json3-dev", "libstb-dev"}
)

// Check refuses a machine that cannot run the cluster: one line each, that says what to do.
func Check() error {
	if runtime.GOOS != "linux" {
		return errors.New("the embedded cluster needs Linux; on other systems use a cluster of your own: make up CLUSTER=kubeconfig")
	}
	var faults []error
	if os.Geteuid() != 0 {
		faults = append(faults, errors.New("the embedded cluster needs root (it makes network namespaces and mounts): run it with sudo, or use a cluster of your own: make up CLUSTER=kubeconfig"))
	}
	if free, err := availableMiB(); err != nil {
		faults = append(faults, err)
	} else if free < MinMemoryMiB {
		faults = append(faults, fmt.Errorf("only %d MiB of memory are available and %d are needed: stop something, or use a larger machine", free, MinMemoryMiB))
	}
	return errors.Join(faults...)
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

// Missing lists the packages that are not installed.
func Missing(packages []string) []string {
	var missing []string
	for _, p := range packages {
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
const refuseServices = "#!/bin/sh\nexit 101\n"

const policyFile = "/usr/sbin/policy-rc.d"

// Install installs Debian packages without starting their services.
func Install(ctx context.Context, packages []string) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("apt-get is not here: install these by hand: %s", strings.Join(packages, " "))
	}
	if _, err := os.Stat(policyFile); errors.Is(err, os.ErrNotExist) {
		if err := os.WriteFile(policyFile, []byte(refuseServices), 0o755); err != nil {
			return err
		}
		defer func() { _ = os.Remove(policyFile) }()
	}
	install := append([]string{"install", "-y", "-qq", "--no-install-recommends"}, packages...)
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
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, output)
	}
	return nil
}
