package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"

	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
)

// Tunnel leads connections to the ready pod behind a Service by the API
// server's port-forward. It is opened by the first Dial and opened anew by the
// first Dial after it broke, so it outlives the pod. It is safe for concurrent use.
type Tunnel struct {
	client  *Client
	service string
	port    int

	mu      sync.Mutex
	forward *forward // nil until the first Dial
}

// forward is one running port-forward to one pod.
type forward struct {
	// address is the local end.
	address string
	stop    chan struct{}
	// done is closed when the forward has ended.
	done chan struct{}
}

// Tunnel returns a closed tunnel to the Service's port.
func (c *Client) Tunnel(service string, port int) *Tunnel {
	return &Tunnel{client: c, service: service, port: port}
}

// Dial connects to the pod; network and address are ignored, the tunnel knows where it leads.
func (t *Tunnel) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.forward == nil || t.forward.ended() {
		opened, err := t.open(ctx)
		if err != nil {
			return nil, err
		}
		t.forward = opened
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", t.forward.address)
}

// Close ends the tunnel and waits for it.
func (t *Tunnel) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.forward != nil {
		close(t.forward.stop)
		<-t.forward.done
		t.forward = nil
	}
	return nil
}

func (f *forward) ended() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// open starts a port-forward from a free port on loopback.
func (t *Tunnel) open(ctx context.Context) (*forward, error) {
	pod, target, err := t.client.endpoint(ctx, t.service, t.port)
	if err != nil {
		return nil, err
	}
	dialer, err := t.client.portForwardDialer(pod)
	if err != nil {
		return nil, err
	}
	f := &forward{stop: make(chan struct{}), done: make(chan struct{})}
	ready := make(chan struct{})
	forwarder, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{"0:" + strconv.Itoa(target)}, f.stop, ready, io.Discard, io.Discard)
	if err != nil {
		return nil, fmt.Errorf("preparing the port-forward to pod %s: %w", pod, err)
	}
	var ended error
	go func() {
		defer close(f.done)
		ended = forwarder.ForwardPorts()
	}()
	select {
	case <-ready:
	case <-f.done:
		return nil, fmt.Errorf("opening the port-forward to pod %s: %w", pod, errors.Join(ended, ctx.Err()))
	case <-ctx.Done():
		close(f.stop)
		return nil, fmt.Errorf("opening the port-forward to pod %s: %w", pod, ctx.Err())
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		return nil, fmt.Errorf("opening the port-forward to pod %s: %w", pod, err)
	}
	f.address = net.JoinHostPort("127.0.0.1", strconv.Itoa(int(ports[0].Local)))
	return f, nil
}

// portForwardDialer speaks WebSocket and, with servers that do not, SPDY.
func (c *Client) portForwardDialer(pod string) (httpstream.Dialer, error) {
	config := rest.CopyConfig(c.config)
	config.Timeout = 0 // a tunnel lasts
	url := c.typed.CoreV1().RESTClient().Post().Resource("pods").Namespace(c.namespace).Name(pod).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, fmt.Errorf("preparing the port-forward to pod %s: %w", pod, err)
	}
	overSPDY := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	overWebSocket, err := portforward.NewSPDYOverWebsocketDialer(url, config)
	if err != nil {
		return nil, fmt.Errorf("preparing the port-forward to pod %s: %w", pod, err)
	}
	return portforward.NewFallbackDialer(overWebSocket, overSPDY, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}), nil
}
