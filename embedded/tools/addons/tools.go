//go:build tools

// Package tools pins what the embedded cluster runs beside Kubernetes itself:
// cluster DNS, metrics-server and the provisioner of local volumes. They share
// one module because they share the k8s.io packages, which so compile once.
package tools

import (
	_ "github.com/rancher/local-path-provisioner"
	_ "sigs.k8s.io/metrics-server/cmd/metrics-server"
)
