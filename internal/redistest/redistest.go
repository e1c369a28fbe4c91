// Package redistest starts real Redis servers for tests.
package redistest

import (
	"context"
	"net"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// patience is how long a server may take to come up, on a busy machine.
const patience = 20 * time.Second

// Server is a redis-server on a free port of the loopback interface.
type Server struct {
	*redis.Client
	// Addr is host:port.
	Addr string

	port    string
	dir     string
	process *exec.Cmd
}

// Start runs a server until the test ends and returns a client of it. Further
// args are given to redis-server, e.g. "--maxmemory", "3mb".
func Start(t testing.TB, args ...string) *redis.Client {
	return StartServer(t, args...).Client
}

// StartServer is Start for tests that need the address, or that stop the server.
func StartServer(t testing.TB, args ...string) *Server {
	t.Helper()
	port := freePort(t)
	s := &Server{port: port, dir: t.TempDir(), Addr: net.JoinHostPort("127.0.0.1", port)}
	s.Client = redis.NewClient(&redis.Options{Addr: s.Addr})
	s.Resume(t, args...)
	t.Cleanup(func() {
		_ = s.Close()
		s.Kill(t)
	})
	return s
}

// Resume starts the server again after Kill, with the data that it had.
func (s *Server) Resume(t testing.TB, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatal(`redis-server not found on PATH: run "eval $(make env)" first`)
	}
	s.process = exec.Command("redis-server", append([]string{
		"--bind", "127.0.0.1", "--port", s.port, "--dir", s.dir,
		"--save", "", "--appendonly", "yes", "--appendfsync", "always",
	}, args...)...)
	// A test binary that is killed runs no clean-up: the server goes with it all the same.
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.process.Start(); err != nil {
		t.Fatalf("starting redis-server: %v", err)
	}
	deadline := time.Now().Add(patience)
	for s.Ping(context.Background()).Err() != nil {
		if time.Now().After(deadline) {
			t.Fatalf("redis-server on %s did not answer within %s", s.Addr, patience)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Kill ends the server at once, as a crash does. Killing it twice is fine.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
	s.process = nil
}

// URL is the server's address as a Redis URL.
func (s *Server) URL() string { return "redis://" + s.Addr }

func freePort(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("looking for a free port: %v", err)
	}
	defer func() { _ = listener.Close() }()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}
