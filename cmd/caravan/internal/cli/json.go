package cli

import (
	"encoding/json"
	"fmt"
	"io"
)

// writeJSON writes one value and a newline, indented for a document, compact for a line.
func writeJSON(w io.Writer, value any, indent string) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	return nil
}
