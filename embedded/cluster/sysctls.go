package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// kernelSettings are what a kubelet sets for the whole machine
// (setupKernelTunables in k8s.io/kubernetes/pkg/kubelet/cm).
var kernelSettings = []string{"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes"}

// saveSysctls keeps the machine's values for restoreSysctls.
func saveSysctls() error {
	if err := os.MkdirAll(state("sysctls"), 0o700); err != nil {
		return err
	}
	for _, setting := range kernelSettings {
		value, err := os.ReadFile(filepath.Join("/proc/sys", setting))
		if errors.Is(err, fs.ErrNotExist) {
			continue // not in this kernel
		}
		if err != nil {
			return fmt.Errorf("reading a kernel setting: %w", err)
		}
		if err := os.WriteFile(state("sysctls", strings.ReplaceAll(setting, "/", "%")), value, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// restoreSysctls gives the machine its values back.
func restoreSysctls() error {
	saved, err := filepath.Glob(state("sysctls", "*"))
	if err != nil {
		return err
	}
	for _, file := range saved {
		value, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		setting := filepath.Join("/proc/sys", strings.ReplaceAll(filepath.Base(file), "%", "/"))
		if err := os.WriteFile(setting, value, 0o644); err != nil {
			return fmt.Errorf("restoring a kernel setting: %w", err)
		}
	}
	return nil
}
