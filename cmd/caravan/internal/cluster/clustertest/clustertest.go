// Package clustertest serves, for tests without a cluster, the part of the
// Kubernetes API that leads to a queue: its Service, Pod and Secret, and the
// port-forward itself in its real protocol, to a server on loopback.
package clustertest

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/apimachinery/pkg/util/httpstream/spdy"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/tools/portforward"
)

// Names of what is served. Other objects do not exist.
const (
	Namespace   = "caravan"
	Service     = "queue"
	Port        = 6379
	Secret      = "queue-auth"
	PasswordKey = "password"
	// Context is the kubeconfig's.
	Context = "c"
)

// API is the server.
type API struct {
	// Kubeconfig is a file that leads to it.
	Kubeconfig string

	target string
	mu     sync.Mutex
	// tunnels are the open port-forwards.
	tunnels []httpstream.Connection
	opened  int
}

// Start serves until the test ends. target is where the port-forward leads
// (host:port), password what the Secret holds.
func Start(t testing.TB, target, password string) *API {
	t.Helper()
	api := &API{target: target, Kubeconfig: filepath.Join(t.TempDir(), "kubeconfig")}
	server := httptest.NewServer(api.routes(password))
	t.Cleanup(func() {
		api.Break()
		server.Close()
	})
	api.AddCurrentContext(t, Context, server.URL)
	return api
}

// AddCurrentContext adds a context for the cluster at url to the kubeconfig and
// makes it the current one.
func (a *API) AddCurrentContext(t testing.TB, name, url string) {
	t.Helper()
	config := clientcmdapi.NewConfig()
	if _, err := os.Stat(a.Kubeconfig); err == nil {
		if config, err = clientcmd.LoadFromFile(a.Kubeconfig); err != nil {
			t.Fatal(err)
		}
	}
	config.Clusters[name] = &clientcmdapi.Cluster{Server: url}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	if err := clientcmd.WriteToFile(*config, a.Kubeconfig); err != nil {
		t.Fatal(err)
	}
}

// Break cuts all port-forwards, as the death of the pod does.
func (a *API) Break() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, tunnel := range a.tunnels {
		_ = tunnel.Close()
	}
	a.tunnels = nil
}

// Opened is how many port-forwards have been opened so far.
func (a *API) Opened() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.opened
}

func (a *API) routes(password string) http.Handler {
	labels := map[string]string{"app": "queue"}
	meta := metav1.ObjectMeta{Name: Service, Namespace: Namespace, Labels: labels}
	ready := corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
	base := "/api/v1/namespaces/" + Namespace
	mux := http.NewServeMux()
	for path, object := range map[string]any{
		"/services/" + Service: corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{Port: Port}}}},
		"/secrets/" + Secret:   corev1.Secret{ObjectMeta: meta, Data: map[string][]byte{PasswordKey: []byte(password)}},
		"/pods":                corev1.PodList{Items: []corev1.Pod{{ObjectMeta: meta, Status: ready}}},
		"/events":              corev1.EventList{},
	} {
		mux.HandleFunc("GET "+base+path, func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, object) })
	}
	mux.HandleFunc("POST "+base+"/pods/"+Service+"/portforward", a.forward)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusNotFound, metav1.Status{
			TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Reason: metav1.StatusReasonNotFound, Code: http.StatusNotFound,
		})
	})
	return mux
}

func answer(w http.ResponseWriter, code int, object any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(object) // the client reports what is missing
}

// forward upgrades to SPDY and leads each pair of streams to the target.
func (a *API) forward(w http.ResponseWriter, r *http.Request) {
	if _, err := httpstream.Handshake(r, w, []string{portforward.PortForwardProtocolV1Name}); err != nil {
		return
	}
	tunnel := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(stream httpstream.Stream, replied <-chan struct{}) error {
		go func() {
			<-replied
			if stream.Headers().Get(corev1.StreamType) == corev1.StreamTypeData {
				a.serve(stream)
			} else {
				_ = stream.Close() // no error to report
			}
		}()
		return nil
	})
	if tunnel == nil {
		return
	}
	a.mu.Lock()
	a.tunnels = append(a.tunnels, tunnel)
	a.opened++
	a.mu.Unlock()
	<-tunnel.CloseChan()
}

// serve joins a stream to the target until one of them ends.
func (a *API) serve(stream httpstream.Stream) {
	defer func() { _ = stream.Reset() }()
	conn, err := net.Dial("tcp", a.target)
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(conn, stream)
		_ = conn.Close()
	}()
	_, _ = io.Copy(stream, conn)
}
