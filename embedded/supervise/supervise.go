// Package supervise keeps the cluster's processes running with s6
// (https://skarnet.org/software/s6/, Debian package s6): it restarts what dies,
// rotates logs, and stops in order. A service is a folder; nothing else is state.
package supervise

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Service is one supervised process.
type Service struct {
	// Name is the service folder's name.
	Name string
	// Command is the program with its arguments; the shell is replaced by exec, so signals reach it.
	Command []string
}

// Supervisor runs the services of one scan folder.
type Supervisor struct {
	// Dir holds the service folders; LogDir a folder of logs for each service.
	Dir, LogDir string
}

// Path is where system programs lie; a caller's own may lack the sbin folders.
const Path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// logging keeps at most 4 files of 4 MB a service.
const logging = "s6-log n4 s4000000 "

// Running is whether the supervisor itself is alive.
func (s Supervisor) Running() bool {
	return exec.Command("s6-svscanctl", s.Dir).Run() == nil
}

// Start starts the supervisor as a daemon of its own session, with no services yet.
func (s Supervisor) Start() error {
	if s.Running() {
		return nil
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return err
	}
	output, err := os.OpenFile(filepath.Join(s.Dir, "..", "supervisor.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = output.Close() }()
	cmd := exec.Command("s6-svscan", s.Dir)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Dir = "/"
	// Nothing of the caller's: a proxy, say, would keep the components from each other.
	cmd.Env = []string{"PATH=" + Path, "HOME=/root"}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting s6-svscan: %w", err)
	}
	if err := cmd.Process.Release(); err != nil {
		return err
	}
	return poll(10*time.Second, "s6-svscan to start", s.Running)
}

// Add starts services that are not there yet; one that is there is left as it is.
func (s Supervisor) Add(services ...Service) error {
	for _, service := range services {
		dir := filepath.Join(s.Dir, service.Name)
		if _, err := os.Stat(dir); err == nil {
			continue
		}
		if err := s.write(service, dir); err != nil {
			return fmt.Errorf("adding service %s: %w", service.Name, err)
		}
	}
	if output, err := exec.Command("s6-svscanctl", "-a", s.Dir).CombinedOutput(); err != nil {
		return fmt.Errorf("starting services: %w: %s", err, output)
	}
	return nil
}

// write makes the folder under another name first, so that the supervisor never sees half of it.
func (s Supervisor) write(service Service, dir string) error {
	scratch := filepath.Join(s.Dir, "."+service.Name)
	if err := os.RemoveAll(scratch); err != nil {
		return err
	}
	logs := filepath.Join(s.LogDir, service.Name)
	for _, d := range []string{filepath.Join(scratch, "log"), logs} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	run := "#!/bin/sh\nexec 2>&1\nexec " + strings.Join(quoteAll(service.Command), " ") + "\n"
	if err := os.WriteFile(filepath.Join(scratch, "run"), []byte(run), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(scratch, "log", "run"), []byte("#!/bin/sh\nexec "+logging+quote(logs)+"\n"), 0o700); err != nil {
		return err
	}
	return os.Rename(scratch, dir)
}

// Stop ends a service and waits until it is gone; after the deadline it is killed.
func (s Supervisor) Stop(name string, deadline time.Duration) error {
	dir := filepath.Join(s.Dir, name)
	if _, err := os.Stat(filepath.Join(dir, "supervise")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if exec.Command("s6-svok", dir).Run() != nil {
		return nil
	}
	wait := fmt.Sprint(deadline.Milliseconds())
	if exec.Command("s6-svc", "-wD", "-T", wait, "-d", dir).Run() == nil {
		return nil
	}
	if output, err := exec.Command("s6-svc", "-wD", "-T", wait, "-kd", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("killing %s: %w: %s", name, err, output)
	}
	return nil
}

// Services lists the names of the services.
func (s Supervisor) Services() ([]string, error) {
	entries, err := os.ReadDir(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// Status says in a line what a service does, in the words of s6-svstat.
func (s Supervisor) Status(name string) string {
	output, err := exec.Command("s6-svstat", filepath.Join(s.Dir, name)).CombinedOutput()
	if err != nil {
		return "not supervised"
	}
	return strings.TrimSpace(string(output))
}

// Quit ends every service and the supervisor, and waits until they are gone.
func (s Supervisor) Quit() error {
	if !s.Running() {
		return nil
	}
	if output, err := exec.Command("s6-svscanctl", "-t", s.Dir).CombinedOutput(); err != nil {
		return fmt.Errorf("stopping s6-svscan: %w: %s", err, output)
	}
	return poll(20*time.Second, "s6-svscan to stop", func() bool { return !s.Running() })
}

func poll(deadline time.Duration, what string, done func() bool) error {
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if done() {
			return nil
		}
	}
	return fmt.Errorf("waited %s for %s", deadline, what)
}

func quoteAll(words []string) []string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w)
	}
	return quoted
}

// quote makes a word safe for sh.
func quote(word string) string {
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
