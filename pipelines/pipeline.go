// Package pipelines turns a user's file into the complete document of a worker's
// Bento. The file says how a message becomes a request and an answer a result;
// everything that makes this safe (ask, commit, requeue, dead letter, heartbeat)
// is in the skeletons of this package.
package pipelines

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// Pipeline is a user's file. All mappings are Bloblang.
type Pipeline struct {
	// Name is the file's name without its ending, File its name for messages, e.g. "pipelines/mayors.yaml".
	Name, File string
	// Description is one sentence for people.
	Description string
	// Validate runs on the message; when it throws, the message is a dead letter. Optional.
	Validate string
	// Request maps the message to fields of Ollama's /api/generate.
	Request string
	// Result maps {job, answer, response} to the result, an object; when it throws, the message is tried again.
	Result string
}

// Load reads the pipeline name from dir/name.yaml. It refuses what is not a
// pipeline, all faults at once, each with its line.
func Load(dir, name string) (Pipeline, error) {
	if name == "" || name != filepath.Base(name) {
		return Pipeline{}, fmt.Errorf("pipeline %q: give the name of a file in %s without .yaml", name, dir)
	}
	folder, err := filepath.Abs(dir)
	if err != nil {
		return Pipeline{}, fmt.Errorf("reading pipeline %q: %w", name, err)
	}
	p := Pipeline{Name: name, File: filepath.Base(folder) + "/" + name + ".yaml"}
	text, err := os.ReadFile(filepath.Join(dir, name+".yaml"))
	if errors.Is(err, os.ErrNotExist) {
		return Pipeline{}, fmt.Errorf("pipeline %q: there is no %s; there are: %s", name, p.File, strings.Join(available(dir), ", "))
	}
	if err != nil {
		return Pipeline{}, fmt.Errorf("reading pipeline %q: %w", name, err)
	}
	if err := p.decode(text); err != nil {
		return Pipeline{}, err
	}
	return p, nil
}

// available lists the pipelines in dir.
func available(dir string) []string {
	files, _ := filepath.Glob(filepath.Join(dir, "*.yaml")) // the pattern is well-formed
	names := []string{}
	for _, file := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(file), ".yaml"))
	}
	return names
}

// decode fills p from YAML, strictly.
func (p *Pipeline) decode(text []byte) error {
	var document, next yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&document); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", p.File, err)
	}
	if len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return fmt.Errorf("%s: want the keys description, validate, request and result", p.File)
	}
	if err := decoder.Decode(&next); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: holds more than one YAML document", p.File)
	}
	return p.fill(document.Content[0].Content)
}

// fill takes the keys and values of the file and collects every fault.
func (p *Pipeline) fill(pairs []*yaml.Node) error {
	fields := map[string]*string{
		"description": &p.Description, "validate": &p.Validate, "request": &p.Request, "result": &p.Result,
	}
	var faults []error
	fault := func(line int, format string, args ...any) {
		faults = append(faults, fmt.Errorf("%s:%d: "+format, append([]any{p.File, line}, args...)...))
	}
	seen := map[string]bool{}
	for i := 0; i < len(pairs); i += 2 {
		key, value := pairs[i], pairs[i+1]
		field, known := fields[key.Value]
		switch {
		case !known:
			fault(key.Line, "unknown key %q; known are description, validate, request and result", key.Value)
		case seen[key.Value]:
			fault(key.Line, "key %q is there twice", key.Value)
		case value.Kind != yaml.ScalarNode || value.Tag != "!!str":
			fault(value.Line, "%s must be text", key.Value)
		case environment.MatchString(value.Value):
			fault(value.Line, `%s: Bento would replace %s before it reads the mapping; write env("…") instead`,
				key.Value, environment.FindString(value.Value))
		default:
			*field = value.Value
		}
		seen[key.Value] = true
	}
	for _, key := range []string{"request", "result"} {
		if !seen[key] {
			faults = append(faults, fmt.Errorf("%s: the key %q is missing", p.File, key))
		} else if strings.TrimSpace(*fields[key]) == "" && len(faults) == 0 {
			faults = append(faults, fmt.Errorf("%s: %s is empty", p.File, key))
		}
	}
	return errors.Join(faults...)
}

// environment is what Bento takes for an environment variable, anywhere in its document.
var environment = regexp.MustCompile(`\$\{+[0-9A-Za-z_.]+`)
