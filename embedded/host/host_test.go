package host

import (
	"net"
	"strings"
	"testing"
)

func TestAMachineThatCannotRunTheClusterIsToldWhy(t *testing.T) {
	fit := Machine{OS: "linux", Arch: "amd64", UserID: 0, MemoryMiB: MinMemoryMiB}
	if err := fit.Check(); err != nil {
		t.Errorf("a fit machine is refused: %v", err)
	}
	for name, test := range map[string]struct {
		change func(*Machine)
		want   string
	}{
		"another system": {func(m *Machine) { m.OS = "darwin" },
			"the embedded cluster needs Linux on amd64 and this is darwin on amd64: use a cluster of your own: make up CLUSTER=kubeconfig"},
		"another processor": {func(m *Machine) { m.Arch = "arm64" },
			"the embedded cluster needs Linux on amd64 and this is linux on arm64: use a cluster of your own: make up CLUSTER=kubeconfig"},
		"not root": {func(m *Machine) { m.UserID = 1000 },
			"the embedded cluster needs root (it makes network namespaces and mounts): run it with sudo, or use a cluster of your own: make up CLUSTER=kubeconfig"},
		"no memory": {func(m *Machine) { m.MemoryMiB = 2000 },
			"2000 MiB of memory are available and 6144 are needed: stop something, or use a larger machine"},
	} {
		m := fit
		test.change(&m)
		if err := m.Check(); err == nil || err.Error() != test.want {
			t.Errorf("%s: error is %q, want %q", name, err, test.want)
		}
	}
}

func TestThisMachineIsDescribed(t *testing.T) {
	m, err := This()
	if err != nil || m.OS == "" || m.MemoryMiB <= 0 {
		t.Errorf("this machine is %+v, %v", m, err)
	}
}

func TestAPortInUseIsNamedWithAWayToFindItsOwner(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	err = FreePorts("127.0.0.1", port)
	if err == nil || !strings.Contains(err.Error(), "is in use") || !strings.Contains(err.Error(), "ss -ltnp") {
		t.Errorf("a port in use: %v", err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if err := FreePorts("127.0.0.1", port); err != nil {
		t.Errorf("a free port: %v", err)
	}
}

func TestMissingPackagesAreFound(t *testing.T) {
	missing := Missing([]string{"dpkg", "no-such-package-of-debian"})
	if len(missing) != 1 || missing[0] != "no-such-package-of-debian" {
		t.Errorf("missing are %q", missing)
	}
}

func TestTooLittleDiskIsRefusedBeforeTheBuild(t *testing.T) {
	if err := FreeDisk(t.TempDir(), 0); err != nil {
		t.Errorf("no room is needed: %v", err)
	}
	if err := FreeDisk(t.TempDir(), 1<<20); err == nil || !strings.Contains(err.Error(), "CARAVAN_CACHE") {
		t.Errorf("a petabyte is needed: %v", err)
	}
}
