//go:build tools

// Package tools pins Ollama and the module that carries a header its CPU build needs.
package tools

import (
	_ "github.com/gen2brain/malgo"
	_ "github.com/ollama/ollama"
)
