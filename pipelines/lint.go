package pipelines

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// ErrNoBento is returned by Lint when there is no bento to ask.
var ErrNoBento = errors.New(`bento not found on PATH: run "eval $(make env)" first`)

// Lint has Bento itself check a document. What Bento finds in a user's mapping is
// reported with the user's file, section and line, all of it at once.
func Lint(ctx context.Context, document string) error {
	bento, err := exec.LookPath("bento")
	if err != nil {
		return ErrNoBento
	}
	dir, err := os.MkdirTemp("", "caravan-lint-")
	if err != nil {
		return fmt.Errorf("linting the pipeline: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "document.yaml")
	if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
		return fmt.Errorf("linting the pipeline: %w", err)
	}

	var output bytes.Buffer
	command := exec.CommandContext(ctx, bento, "lint", file)
	command.Env = append(os.Environ(), "REDIS_URL=redis://localhost:6379", "POD_NAME=lint")
	command.Stdout, command.Stderr = &output, &output
	err = command.Run()
	if err == nil {
		return nil
	}
	if faults := translate(output.String(), file, document); faults != nil {
		return faults
	}
	return fmt.Errorf("running %s lint: %w\n%s", bento, err, output.String())
}

// marker is the comment by which translate recognises a user's mapping.
func marker(file, section string) string { return fmt.Sprintf("# %s: %s", file, section) }

// marked is a line that ends in a marker.
var marked = regexp.MustCompile(`# (\S+\.yaml): (validate|request|result)$`)

// translate turns Bento's messages, "file(line,column) message", into errors that
// speak of the user's file; nil when there are none.
func translate(output, file, document string) error {
	message := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(file) + `\((\d+),\d+\) (.*)$`)
	lines := strings.Split(document, "\n")
	var faults []error
	for _, found := range message.FindAllStringSubmatch(output, -1) {
		line, err := strconv.Atoi(found[1])
		if err != nil || line > len(lines) {
			return nil // not a message after all
		}
		faults = append(faults, fmt.Errorf("%s: Bento says: %s", locate(lines, line), strings.TrimSpace(found[2])))
	}
	return errors.Join(faults...)
}

// locate says what a line (from 1) of a document is to the user: a line of a mapping
// of theirs, if the line is in the block below a marker.
func locate(lines []string, line int) string {
	text := strings.TrimSpace(lines[line-1])
	for i := 0; i < len(lines); i++ {
		found := marked.FindStringSubmatch(lines[i])
		if found == nil {
			continue
		}
		start := i + 1
		for i+1 < len(lines) && (strings.TrimSpace(lines[i+1]) == "" || indent(lines[i+1]) > indent(lines[start-1])) {
			i++
		}
		switch {
		case line == start:
			return fmt.Sprintf("%s: %s", found[1], found[2])
		case line > start && line <= i+1:
			return fmt.Sprintf("%s: %s, line %d (%s)", found[1], found[2], line-start, text)
		}
	}
	return fmt.Sprintf("composed document, line %d (%s)", line, text)
}

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }
