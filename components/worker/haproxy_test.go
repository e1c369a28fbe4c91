package worker_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"caravan.dev/caravan/components/worker"
	"caravan.dev/caravan/internal/golden"
)

func TestHAProxyConfigGolden(t *testing.T) {
	golden.Check(t, "haproxy.cfg", worker.HAProxyConfig(4, 130*time.Second))
}

func TestHAProxyAcceptsItsConfig(t *testing.T) {
	for _, slots := range []int{1, 4, 64} {
		file := write(t, worker.HAProxyConfig(slots, 90*time.Second))
		if out, err := exec.Command(haproxy(t), "-c", "-f", file).CombinedOutput(); err != nil {
			t.Errorf("%d slots: %v\n%s", slots, err, out)
		}
	}
}

func TestNoMoreRequestsThanSlotsReachTheModel(t *testing.T) {
	const slots, requests = 2, 9
	var running, most atomic.Int32
	var mu sync.Mutex
	release := make(chan struct{})
	model := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" { // the health check
			return
		}
		mu.Lock()
		most.Store(max(most.Load(), running.Add(1)))
		mu.Unlock()
		<-release
		running.Add(-1)
	}))
	t.Cleanup(model.Close)
	proxy := start(t, slots, model.Listener.Addr().String())

	answers := make(chan error, requests)
	for range requests {
		go func() { answers <- post(proxy.generate + "/api/generate") }()
	}
	eventually(t, "the slots fill up", func() bool { return running.Load() == slots })
	eventually(t, "the rest waits in HAProxy", func() bool {
		return strings.Contains(get(proxy.observe+"/metrics"), fmt.Sprintf(`haproxy_backend_current_queue{proxy="ollama"} %d`, slots))
	})
	close(release)
	for range requests {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	if most.Load() != slots {
		t.Errorf("%d requests ran at once, want %d", most.Load(), slots)
	}
}

func TestARequestThatBentoGaveUpEndsInTheModelAndFreesItsSlot(t *testing.T) {
	began, ended := make(chan struct{}, 1), make(chan struct{}, 1)
	var requests atomic.Int32
	model := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" || requests.Add(1) > 1 { // the health check, and the request after
			return
		}
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server watch the connection
		began <- struct{}{}
		select {
		case <-r.Context().Done():
			ended <- struct{}{}
		case <-time.After(30 * time.Second):
		}
	}))
	t.Cleanup(model.Close)
	proxy := start(t, 1, model.Listener.Addr().String())

	ctx, giveUp := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, proxy.generate+"/api/generate", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if response, err := http.DefaultClient.Do(request); err == nil {
			_ = response.Body.Close()
		}
	}()
	<-began
	giveUp()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the model still generates what nobody waits for")
	}
	if err := post(proxy.generate + "/api/generate"); err != nil {
		t.Errorf("the slot is not free: %v", err)
	}
}

func TestHAProxyIsReadyOnlyWhileOllamaAnswers(t *testing.T) {
	model := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(model.Close)
	proxy := start(t, 1, model.Listener.Addr().String())
	eventually(t, "it is ready", func() bool { return get(proxy.observe+"/ready") == "ready" })

	model.Close()
	eventually(t, "it is not ready any more", func() bool { return get(proxy.observe+"/ready") == "Ollama does not answer" })
	if got := get(proxy.observe + "/healthz"); !strings.Contains(got, "200 OK") {
		t.Errorf("/healthz = %q: HAProxy itself is well, its container must not be restarted", got)
	}
}

// proxy is a running HAProxy.
type proxy struct{ generate, observe string }

// start runs HAProxy with the generated config, moved to free ports and to the given model.
func start(t *testing.T, slots int, model string) proxy {
	t.Helper()
	generate, observe := freeAddress(t), freeAddress(t)
	config := strings.NewReplacer(
		"127.0.0.1:8080", generate, ":8404", observe, "127.0.0.1:11434", model,
	).Replace(worker.HAProxyConfig(slots, time.Minute))
	ctx, stop := context.WithCancel(t.Context())
	command := exec.CommandContext(ctx, haproxy(t), "-db", "-f", write(t, config))
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = command.Wait()
	})
	p := proxy{"http://" + generate, "http://" + observe}
	eventually(t, "HAProxy listens", func() bool { return get(p.observe+"/healthz") != "" })
	return p
}

func haproxy(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("haproxy")
	if err != nil {
		t.Fatal("haproxy is not on PATH: install Debian's package haproxy, or run `make up`, which does")
	}
	return path
}

func write(t *testing.T, config string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// get returns the body, or nothing when there is no answer.
func get(url string) string {
	response, err := http.Get(url)
	if err != nil {
		return ""
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(response.Body)
	return string(body)
}

func post(url string) error {
	response, err := http.Post(url, "application/json", strings.NewReader("{}"))
	if err != nil {
		return err
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", response.Status)
	}
	return nil
}

// eventually waits for a condition for half a minute at most.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("waited in vain until %s", what)
}
