package worker

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// haproxyTemplate is valid for HAProxy 2.6 and 3.x.
//
// Ollama's own bounds only make requests wait inside it, unseen. Here the
// server's maxconn is the bound: what is over it waits in a queue that has a
// deadline and is counted in the metrics. The frontend's maxconn keeps that queue
// as short as the slots; a server's maxqueue would not, because with one server
// alone what is over it waits in the backend's queue instead. What Bento has given
// up is ended in Ollama too (abortonclose), so that it leaves its slot.
const haproxyTemplate = `global
    log stdout format raw local0
    maxconn <connections>
    hard-stop-after 5s

defaults
    mode http
    log global
    option httplog
    option dontlog-normal
    option abortonclose
    timeout connect 5s
    timeout http-request 10s
    timeout client <longest>
    timeout queue <longest>
    timeout server <longest>

frontend generate
    bind 127.0.0.1:<proxy port>
    maxconn <admitted>
    default_backend ollama

backend ollama
    option httpchk GET /
    http-check expect status 200
    timeout check 5s
    server local 127.0.0.1:<model port> maxconn <slots> check inter 2s fall 3 rise 1

frontend observe
    bind :<metrics port>
    monitor-uri /healthz
    http-request use-service prometheus-exporter if { path /metrics }
    http-request return status 200 content-type text/plain string "ready" if { path /ready } { nbsrv(ollama) ge 1 }
    http-request return status 503 content-type text/plain string "Ollama does not answer" if { path /ready }
    http-request return status 404
`

// HAProxyConfig is the proxy's configuration for a worker with so many slots, in
// which no message holds one for longer than longest.
func HAProxyConfig(slots int, longest time.Duration) string {
	return strings.NewReplacer(
		"<slots>", strconv.Itoa(slots),
		"<admitted>", strconv.Itoa(2*slots), // running and waiting
		"<connections>", strconv.Itoa(2*slots+32), // and probes and scrapes
		"<longest>", fmt.Sprintf("%dms", longest.Milliseconds()),
		"<proxy port>", strconv.Itoa(proxyPort),
		"<model port>", strconv.Itoa(modelPort),
		"<metrics port>", strconv.Itoa(MetricsPort),
	).Replace(haproxyTemplate)
}
