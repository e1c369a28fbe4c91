// Command coredns is CoreDNS with the plugins that cluster DNS needs and no
// others.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
)

func main() {
	// The order is the order in which a query passes the plugins, as in
	// CoreDNS's own plugin.cfg.
	dnsserver.Directives = []string{"errors", "ready", "health", "cache", "kubernetes"}
	coremain.Run()
}
