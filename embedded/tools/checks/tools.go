//go:build tools

// Package tools pins what `make test` runs: the linters, and the runner that
// counts the tests.
package tools

import (
	_ "github.com/golangci/golangci-lint/v2/cmd/golangci-lint"
	_ "gotest.tools/gotestsum"
)
