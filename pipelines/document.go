package pipelines

import (
	"bytes"
	_ "embed" // for the skeletons
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"caravan.dev/caravan/contract"
)

// Mode is the kind of queue that a document reads.
type Mode string

// The modes.
const (
	// Stream loses nothing: see docs/architecture.md.
	Stream Mode = "stream"
	// List is what most people write: the baseline to compare against.
	List Mode = "list"
)

//go:embed skeleton/stream.yaml
var streamSkeleton string

//go:embed skeleton/list.yaml
var listSkeleton string

// Settings are what a document needs besides the user's pipeline. The Redis URL and
// the worker's name are not among them: Bento reads REDIS_URL and POD_NAME from its
// environment.
type Settings struct {
	// Queue are the keys that the worker reads and writes.
	Queue contract.Keys
	// Mode is the kind of queue.
	Mode Mode
	// Model is the model's name, as Ollama knows it.
	Model string
	// Slots is how many messages are worked on at once.
	Slots int
	// HTTPTimeout is the limit of one request to the model.
	HTTPTimeout time.Duration
	// ShutdownTimeout is the time to stop in; three quarters of it are for draining.
	ShutdownTimeout time.Duration
	// MinIdle is how long an entry is left to a worker that lives but makes no progress.
	MinIdle time.Duration
	// MaxAttempts is how often a message may fail before it is a dead letter.
	MaxAttempts int
	// ServerURL is where the model answers, e.g. "http://127.0.0.1:8080"; required.
	ServerURL string
	// BeatEvery is the heartbeat's interval; 0 means contract.BeatEvery.
	BeatEvery time.Duration
	// DeadAfter is how long a worker may be silent; 0 means contract.DeadAfter.
	DeadAfter time.Duration
	// WaitPause is how long a slot is held before a message goes back because of
	// the infrastructure, which slows an outage down; required, since the other times
	// must have room for it. After a bad answer it is a fifth of that.
	WaitPause time.Duration
}

// pollEvery is how soon a slot with nothing to do asks again.
const pollEvery = 250 * time.Millisecond

// withDefaults fills in what s does not say.
func (s Settings) withDefaults() Settings {
	if s.BeatEvery == 0 {
		s.BeatEvery = contract.BeatEvery
	}
	if s.DeadAfter == 0 {
		s.DeadAfter = contract.DeadAfter
	}
	return s
}

// validate collects what would make a document that cannot work.
func (s Settings) validate() error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	check(s.Queue != contract.Keys{}, "no queue")
	check(s.Mode == Stream || s.Mode == List, "mode %q: want %q or %q", s.Mode, Stream, List)
	check(s.Model != "", "no model")
	check(s.Slots >= 1, "slots %d: want at least 1", s.Slots)
	check(s.HTTPTimeout > 0, "HTTP timeout %s: want more than 0", s.HTTPTimeout)
	check(s.ShutdownTimeout > 0, "shutdown timeout %s: want more than 0", s.ShutdownTimeout)
	check(s.MinIdle > s.HTTPTimeout, "min idle %s: want more than the HTTP timeout %s", s.MinIdle, s.HTTPTimeout)
	check(s.WaitPause > 0, "wait pause %s: want more than 0", s.WaitPause)
	check(s.ServerURL != "", "no server URL")
	check(s.MaxAttempts >= 1, "max attempts %d: want at least 1", s.MaxAttempts)
	check(s.BeatEvery < s.DeadAfter/2, "beat every %s: want less than half of dead-after %s", s.BeatEvery, s.DeadAfter)
	return errors.Join(faults...)
}

// Document composes the complete Bento document of a worker. It fails for settings
// that cannot work; whether the mappings are sound is Lint's to say.
func (p Pipeline) Document(settings Settings) (string, error) {
	s := settings.withDefaults()
	if err := s.validate(); err != nil {
		return "", fmt.Errorf("composing pipeline %q: %w", p.Name, err)
	}
	skeleton := streamSkeleton
	if s.Mode == List {
		skeleton = listSkeleton
	}
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(skeleton), &document); err != nil {
		return "", fmt.Errorf("reading the skeleton of mode %s: %w", s.Mode, err)
	}
	if err := p.fillIn(&document, s.values()); err != nil {
		return "", fmt.Errorf("composing pipeline %q: %w", p.Name, err)
	}
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(&document), encoder.Close()); err != nil {
		return "", fmt.Errorf("writing pipeline %q: %w", p.Name, err)
	}
	return text.String(), nil
}

// values are what the skeletons' angle brackets stand for, the user's mappings aside.
func (s Settings) values() map[string]string {
	quote := func(value any) string {
		text, _ := json.Marshal(value) // of strings only: cannot fail
		return string(text)
	}
	milliseconds := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	return map[string]string{
		"jobs": s.Queue.Jobs, "results": s.Queue.Results, "group": contract.Group,
		"keys":        "root = " + quote(s.Queue.All()),
		"next_script": contract.NextScript, "commit_script": contract.CommitScript,
		"fail_script": contract.FailScript, "beat_script": contract.BeatScript,
		"model":            strings.Trim(quote(s.Model), `"`),
		"server_url":       s.ServerURL,
		"slots":            strconv.Itoa(s.Slots),
		"http_timeout":     s.HTTPTimeout.String(),
		"shutdown_timeout": s.ShutdownTimeout.String(),
		"beat_every":       s.BeatEvery.String(),
		"poll_every":       pollEvery.String(),
		"wait_pause":       s.WaitPause.String(),
		"retry_pause":      (s.WaitPause / 5).String(),
		"max_attempts":     strconv.Itoa(s.MaxAttempts),
		"max_abandoned":    strconv.Itoa(contract.MaxAbandoned),
		"reap_limit":       strconv.Itoa(contract.ReapLimit),
		"dead_after_ms":    milliseconds(s.DeadAfter),
		"min_idle_ms":      milliseconds(s.MinIdle),
		"forget_after_ms":  milliseconds(contract.ForgetAfter),
	}
}

// hole is a place in a skeleton that is filled in.
var hole = regexp.MustCompile(`<([a-z_]+)>`)

// fillIn replaces the holes of all values below node. It works on parsed YAML: text
// put into a value stays in that value, whatever it contains.
func (p Pipeline) fillIn(node *yaml.Node, values map[string]string) error {
	for _, child := range node.Content {
		if err := p.fillIn(child, values); err != nil {
			return err
		}
	}
	if node.Kind != yaml.ScalarNode || !hole.MatchString(node.Value) {
		return nil
	}
	if mapping, ok := p.mapping(node.Value); ok {
		node.LineComment = marker(p.File, strings.Trim(node.Value, "<>"))
		node.SetString(mapping)
		node.Style = yaml.LiteralStyle
		return nil
	}
	var unknown []string
	filled := hole.ReplaceAllStringFunc(node.Value, func(name string) string {
		value, ok := values[strings.Trim(name, "<>")]
		if !ok {
			unknown = append(unknown, name)
		}
		return value
	})
	if len(unknown) > 0 {
		return fmt.Errorf("the skeleton asks for %s, which is not known", strings.Join(unknown, ", "))
	}
	setText(node, filled)
	return nil
}

// mapping returns the user's mapping that a hole stands for.
func (p Pipeline) mapping(hole string) (string, bool) {
	switch hole {
	case "<validate>":
		if strings.TrimSpace(p.Validate) == "" {
			return "root = this", true
		}
		return p.Validate, true
	case "<request>":
		return p.Request, true
	case "<result>":
		return p.Result, true
	}
	return "", false
}

// setText gives a scalar a text and lets YAML see whether it is a number.
func setText(node *yaml.Node, text string) {
	node.Value = text
	node.Tag = ""
	if strings.Contains(text, "\n") {
		node.Style = yaml.LiteralStyle
	}
}
