//go:build tools

// Package tools pins the Pulumi language host for Go programs.
package tools

import _ "github.com/pulumi/pulumi/sdk/go/pulumi-language-go/v3"
