//go:build tools

// Package tools pins KEDA's three programs. The module also carries the
// manifests that install them (config/default).
package tools

import (
	_ "github.com/kedacore/keda/v2/cmd/adapter"
	_ "github.com/kedacore/keda/v2/cmd/operator"
	_ "github.com/kedacore/keda/v2/cmd/webhooks"
)
