package pipelines_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"caravan.dev/caravan/contract"
	"caravan.dev/caravan/internal/golden"
	"caravan.dev/caravan/pipelines"
)

var shipped = []string{"mayors", "sentiment"}

func settings(t *testing.T) pipelines.Settings {
	t.Helper()
	keys, err := contract.NewKeys("caravan")
	if err != nil {
		t.Fatal(err)
	}
	return pipelines.Settings{
		Queue: keys, Mode: pipelines.Stream, Model: "qwen2.5:0.5b", Slots: 2,
		HTTPTimeout: time.Minute, ShutdownTimeout: 100 * time.Second, MinIdle: 140 * time.Second, MaxAttempts: 3,
		WaitPause: 5 * time.Second, ServerURL: "http://127.0.0.1:8080",
	}
}

// write puts a pipeline file "x" into a folder "pipelines" and returns the folder.
func write(t *testing.T, text string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pipelines")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "x.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func load(t *testing.T, dir, name string) pipelines.Pipeline {
	t.Helper()
	p, err := pipelines.Load(dir, name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func document(t *testing.T, p pipelines.Pipeline, s pipelines.Settings) string {
	t.Helper()
	text, err := p.Document(s)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func needBento(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("bento")
	if err != nil {
		t.Fatal(pipelines.ErrNoBento)
	}
	return path
}

func TestGoldenDocuments(t *testing.T) {
	for _, name := range shipped {
		for _, mode := range []pipelines.Mode{pipelines.Stream, pipelines.List} {
			t.Run(name+"/"+string(mode), func(t *testing.T) {
				s := settings(t)
				s.Mode = mode
				got := document(t, load(t, ".", name), s)
				golden.Check(t, name+"."+string(mode)+".golden.yaml", got)
			})
		}
	}
}

func TestShippedPipelinesLint(t *testing.T) {
	needBento(t)
	for _, name := range shipped {
		for _, mode := range []pipelines.Mode{pipelines.Stream, pipelines.List} {
			s := settings(t)
			s.Mode = mode
			if err := pipelines.Lint(context.Background(), document(t, load(t, ".", name), s)); err != nil {
				t.Errorf("%s in mode %s: %v", name, mode, err)
			}
		}
	}
}

const sound = "request: |\n  root.prompt = this.x\nresult: |\n  root.y = this.answer\n"

func TestLoadRefusesWhatIsNotAPipeline(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", sound + "promt: x\n",
			`pipelines/x.yaml:5: unknown key "promt"; known are description, validate, request and result`},
		{"repeated key", sound + "result: x\n", `pipelines/x.yaml:5: key "result" is there twice`},
		{"not text", sound + "validate: [ a ]\n", `pipelines/x.yaml:5: validate must be text`},
		{"a number", sound + "validate: 3\n", `pipelines/x.yaml:5: validate must be text`},
		{"missing", "request: x\n", `pipelines/x.yaml: the key "result" is missing`},
		{"empty mapping", "request: ''\nresult: x\n", `pipelines/x.yaml: request is empty`},
		{"all at once", "reqest: x\nresult: 3\n", `pipelines/x.yaml:1: unknown key "reqest"; known are description, validate, request and result
pipelines/x.yaml:2: result must be text
pipelines/x.yaml: the key "request" is missing`},
		{"empty file", "", `pipelines/x.yaml: want the keys description, validate, request and result`},
		{"a list", "- a\n", `pipelines/x.yaml: want the keys description, validate, request and result`},
		{"two documents", sound + "---\na: b\n", `pipelines/x.yaml: holds more than one YAML document`},
		{"no YAML", "a: b: c\n", `pipelines/x.yaml: yaml: mapping values are not allowed in this context`},
		{"environment variable", "request: root.prompt = \"${HOME}\"\nresult: x\n",
			`pipelines/x.yaml:1: request: Bento would replace ${HOME before it reads the mapping; write env("…") instead`},
		{"escaped environment variable", "request: root.prompt = \"${{HOME}}\"\nresult: x\n",
			`pipelines/x.yaml:1: request: Bento would replace ${{HOME before it reads the mapping; write env("…") instead`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := pipelines.Load(write(t, c.text), "x")
			if err == nil || err.Error() != c.want {
				t.Errorf("error:\n%v\nwant:\n%s", err, c.want)
			}
		})
	}
}

func TestLoadOfAMissingPipelineNamesThoseThereAre(t *testing.T) {
	_, err := pipelines.Load(".", "majors")
	if want := `pipeline "majors": there is no pipelines/majors.yaml; there are: mayors, sentiment`; err == nil || err.Error() != want {
		t.Errorf("error: %v\nwant: %s", err, want)
	}
	for _, name := range []string{"", "../mayors", "a/b"} {
		if _, err := pipelines.Load(".", name); err == nil || !strings.Contains(err.Error(), "give the name of a file") {
			t.Errorf("name %q: %v", name, err)
		}
	}
}

func TestSettingsThatCannotWorkAreRefusedAllAtOnce(t *testing.T) {
	_, err := pipelines.Pipeline{Name: "x"}.Document(pipelines.Settings{BeatEvery: time.Minute})
	want := `composing pipeline "x": no queue
mode "": want "stream" or "list"
no model
slots 0: want at least 1
HTTP timeout 0s: want more than 0
shutdown timeout 0s: want more than 0
min idle 0s: want more than the HTTP timeout 0s
wait pause 0s: want more than 0
no server URL
max attempts 0: want at least 1
beat every 1m0s: want less than half of dead-after 15s`
	if err == nil || err.Error() != want {
		t.Errorf("error:\n%v\nwant:\n%s", err, want)
	}
}

func TestABrokenMappingIsRefusedInBentosWords(t *testing.T) {
	needBento(t)
	for _, c := range []struct{ name, text, want string }{
		{"request", "request: |\n  root.system = \"x\"\n  root.prompt = this.x.uppercas()\nresult: |\n  root.y = this.answer\n",
			"pipelines/x.yaml: request, line 2 (root.prompt = this.x.uppercas()): Bento says: unrecognised method 'uppercas'"},
		{"validate", "validate: |\n  root = if this.x { throw(\"no\" }\n" + sound,
			"pipelines/x.yaml: validate, line 1 (root = if this.x { throw(\"no\" }): Bento says: required: expected"},
		{"result", "request: |\n  root = this\nresult: root.y = answer(\n",
			"pipelines/x.yaml: result, line 1 (root.y = answer(): Bento says: "},
		{"not even a literal block", "request: |\n  root = this\nresult: \"\\troot.y = nosuch() \"\n",
			"pipelines/x.yaml: result: Bento says: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := document(t, load(t, write(t, c.text), "x"), settings(t))
			err := pipelines.Lint(context.Background(), text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error:\n%v\nwant it to contain:\n%s", err, c.want)
			}
		})
	}
}

func TestAllBrokenMappingsAreReportedAtOnce(t *testing.T) {
	needBento(t)
	text := document(t, load(t, write(t, "request: root = nope()\nresult: root = nada()\n"), "x"), settings(t))
	err := pipelines.Lint(context.Background(), text)
	if err == nil || !strings.Contains(err.Error(), "'nope'") || !strings.Contains(err.Error(), "'nada'") {
		t.Errorf("error: %v", err)
	}
}

func TestLintWithoutBentoSaysWhatToDo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if err := pipelines.Lint(context.Background(), ""); !errors.Is(err, pipelines.ErrNoBento) {
		t.Errorf("error: %v", err)
	}
}

func TestAMappingCannotBreakOutOfTheDocument(t *testing.T) {
	for _, mapping := range []string{
		"root = \"x\"\noutput:\n  drop: {}\n",
		"root = 1 # <jobs> <slots>\n",
		"\"\n- log: {}\n'",
		"root = \"a\" \n\t- mapping: root = deleted()\n",
		"# pipelines/x.yaml: result\nroot = this",
		"--- \n...\n%YAML",
	} {
		p := pipelines.Pipeline{Name: "x", File: "pipelines/x.yaml", Request: mapping, Result: "root = this"}
		var parsed struct {
			Output   map[string]any
			Pipeline struct {
				Processors []struct {
					Try []struct {
						Branch struct {
							Processors []struct{ Mapping string }
						}
					}
				}
			}
		}
		if err := yaml.Unmarshal([]byte(document(t, p, settings(t))), &parsed); err != nil {
			t.Fatalf("mapping %q: %v", mapping, err)
		}
		var found bool
		for _, processor := range parsed.Pipeline.Processors {
			for _, step := range processor.Try {
				for _, inner := range step.Branch.Processors {
					found = found || inner.Mapping == mapping
				}
			}
		}
		if len(parsed.Output) != 1 || !found {
			t.Errorf("mapping %q did not stay what and where it was", mapping)
		}
	}
}
