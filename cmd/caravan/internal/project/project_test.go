package project

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// newProject makes a project whose pulumi is the shell script given, found on the
// caller's PATH. The stacks named are recorded, with a PATH of their own before it.
func newProject(t *testing.T, script string, recorded ...string) *Project {
	t.Helper()
	root := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("Pulumi.yaml", "name: caravan\n", 0o644)
	write("bin/pulumi", "#!/bin/sh\n"+script, 0o755)
	write("a/b/.keep", "", 0o644)
	for _, stack := range recorded {
		write(EnvFile(stack), "# by make up\nPATH=/"+stack+"/bin\nPULUMI_HOME=/"+stack+"=1\n\n", 0o600)
	}
	p, err := Find(filepath.Join(root, "a", "b"), Env{"PATH": root + "/bin:/usr/bin:/bin", "KUBECONFIG": "/mine", "PULUMI_HOME": "/mine"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// stack is the project's stack of this name.
func (p *Project) stack(t *testing.T, name string) *Stack {
	t.Helper()
	stack, err := p.Stack(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return stack
}

func TestRecordedEnvironmentOverridesTheCallers(t *testing.T) {
	p := newProject(t, "", "local", "kubeconfig")
	file := filepath.Join(p.Root, EnvFile("local"))
	if err := os.WriteFile(file, []byte("KUBECONFIG=/local/kubeconfig\nPATH=/tools\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := p.Root + "/bin:/usr/bin:/bin"
	for name, want := range map[string][]string{
		"local":                      {"KUBECONFIG=/local/kubeconfig", "PATH=/tools:" + path, "PULUMI_HOME=/mine"},
		"organization/caravan/local": {"KUBECONFIG=/local/kubeconfig", "PATH=/tools:" + path, "PULUMI_HOME=/mine"},
		"kubeconfig":                 {"KUBECONFIG=/mine", "PATH=/kubeconfig/bin:" + path, "PULUMI_HOME=/kubeconfig=1"},
		"dev":                        {"KUBECONFIG=/mine", "PATH=" + path, "PULUMI_HOME=/mine"},
	} {
		if diff := cmp.Diff(want, p.stack(t, name).Env.Lines()); diff != "" {
			t.Errorf("environment of stack %s (-want +got):\n%s", name, diff)
		}
	}
	if p.Env["KUBECONFIG"] != "/mine" {
		t.Error("the caller's environment was changed")
	}
}

func TestMalformedEnvFileIsRefusedWithItsLine(t *testing.T) {
	p := newProject(t, "", "local")
	if err := os.WriteFile(filepath.Join(p.Root, EnvFile("local")), []byte("A=1\nnonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := p.Stack(context.Background(), "")
	if err == nil || !strings.Contains(err.Error(), `.caravan/local/env:2: "nonsense" is not KEY=VALUE`) {
		t.Errorf("got %v", err)
	}
	if _, err := p.Stack(context.Background(), "dev"); err != nil {
		t.Errorf("another stack's file matters: %v", err)
	}
}

func TestOutsideAProjectTheErrorSaysSo(t *testing.T) {
	if _, err := Find(t.TempDir(), nil); !errors.Is(err, ErrNoProject) {
		t.Errorf("got %v", err)
	}
}

func TestOutputsAreReadInTheProjectsRoot(t *testing.T) {
	p := newProject(t, `[ -f Pulumi.yaml ] && [ "$*" = "stack output --json --stack dev --non-interactive" ] || exit 9
echo '{"namespace":"caravan","cluster":{"kind":"eks","context":"c"},"queue":{"name":"caravan","mode":"stream",
"service":"queue","port":6379,"secret":"s","passwordKey":"password"},"worker":{"deployment":"d","scaledObject":"so"},"plan":"p"}'`)
	got, err := p.stack(t, "dev").Outputs(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	want := &Outputs{
		Namespace: "caravan", Cluster: Cluster{"eks", "c"}, Worker: Worker{"d", "so"}, Plan: "p",
		Queue: Queue{"caravan", "stream", "queue", 6379, "s", "password"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}
}

func TestWhatIsMissingIsSaidWithTheStepThatMakesIt(t *testing.T) {
	for name, test := range map[string]struct{ script, stack, want string }{
		"no stack": {`echo "error: no stack named '$5' found" >&2; exit 255`, "gpu",
			"there is no stack \"gpu\"; create it with `pulumi up -s gpu`"},
		"no outputs": {`echo '{}'`, "local",
			"stack \"local\" has no outputs yet; create it with `make up`"},
		"no outputs of kubeconfig": {`echo '{}'`, "kubeconfig",
			"stack \"kubeconfig\" has no outputs yet; create it with `make up CLUSTER=kubeconfig`"},
		"other": {`echo "error: incorrect passphrase" >&2; exit 255`, "local",
			`reading the outputs of stack "local": pulumi stack output --json --stack local: exit status 255: error: incorrect passphrase`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newProject(t, test.script).stack(t, test.stack).Outputs(context.Background())
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestStackIsTheNamedElseTheRecordedElseTheSelectedElseLocal(t *testing.T) {
	none := "echo 'error: no stack selected; please use `pulumi stack select`' >&2; exit 255"
	for name, test := range map[string]struct {
		script   string
		recorded []string
		named    string
		want     string
	}{
		"named":               {"exit 1", []string{"local"}, "dev", "dev"},
		"recorded":            {"exit 1", []string{"kubeconfig", "local"}, "", "local"},
		"recorded kubeconfig": {"exit 1", []string{"kubeconfig"}, "", "kubeconfig"},
		"selected":            {`[ "$PULUMI_HOME" = /mine ] && echo gpu`, nil, "", "gpu"},
		"none":                {none, nil, "", "local"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := newProject(t, test.script, test.recorded...).Stack(context.Background(), test.named)
			if err != nil || got.Name != test.want {
				t.Errorf("got %+v, %v; want %q", got, err, test.want)
			}
		})
	}
	if _, err := newProject(t, "echo broken >&2; exit 1").Stack(context.Background(), ""); err == nil || !strings.Contains(err.Error(), "--stack names one") {
		t.Errorf("a failing pulumi: got %v", err)
	}
}

func TestMissingPulumiIsSaid(t *testing.T) {
	p := newProject(t, "")
	p.Env = Env{"PATH": "/nonexistent"}
	_, err := p.stack(t, "local").Outputs(context.Background())
	if err == nil || !strings.Contains(err.Error(), "`make up`") {
		t.Errorf("got %v", err)
	}
}
