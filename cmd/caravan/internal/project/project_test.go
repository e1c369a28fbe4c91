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

// newProject makes a project whose pulumi is the shell script given, found
// through the PATH that EnvFile adds.
func newProject(t *testing.T, script string) *Project {
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
	write(EnvFile, "# by make up\nPATH="+root+"/bin\nKUBECONFIG=/file\nPULUMI_HOME=/ph=1\n\n", 0o600)
	p, err := Find(filepath.Join(root, "a", "b"), Env{"PATH": "/usr/bin:/bin", "KUBECONFIG": "/mine"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEnvFileFillsWhatTheEnvironmentDoesNotSet(t *testing.T) {
	p := newProject(t, "")
	want := []string{"KUBECONFIG=/mine", "PATH=" + p.Root + "/bin:/usr/bin:/bin", "PULUMI_HOME=/ph=1"}
	if diff := cmp.Diff(want, p.Env.Lines()); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func TestMalformedEnvFileIsRefusedWithItsLine(t *testing.T) {
	p := newProject(t, "")
	if err := os.WriteFile(filepath.Join(p.Root, EnvFile), []byte("A=1\nnonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Find(p.Root, Env{})
	if err == nil || !strings.Contains(err.Error(), `env:2: "nonsense" is not KEY=VALUE`) {
		t.Errorf("got %v", err)
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
	got, err := p.Outputs(context.Background(), "dev")
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
			"stack \"local\" has no outputs yet; create it with `make up` (or `pulumi up -s local`)"},
		"other": {`echo "error: incorrect passphrase" >&2; exit 255`, "local",
			`reading the outputs of stack "local": pulumi stack output --json --stack local: exit status 255: error: incorrect passphrase`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newProject(t, test.script).Outputs(context.Background(), test.stack)
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestStackIsTheNamedElseTheSelectedElseLocal(t *testing.T) {
	for name, test := range map[string]struct{ script, named, want string }{
		"named":    {"exit 1", "dev", "dev"},
		"selected": {"echo gpu", "", "gpu"},
		"none":     {"echo 'error: no stack selected; please use `pulumi stack select`' >&2; exit 255", "", "local"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := newProject(t, test.script).Stack(context.Background(), test.named)
			if err != nil || got != test.want {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
	if _, err := newProject(t, "echo broken >&2; exit 1").Stack(context.Background(), ""); err == nil {
		t.Error("a failing pulumi went unnoticed")
	}
}

func TestMissingPulumiIsSaid(t *testing.T) {
	p := newProject(t, "")
	p.Env = Env{"PATH": "/nonexistent"}
	_, err := p.Outputs(context.Background(), "local")
	if err == nil || !strings.Contains(err.Error(), "`make up`") {
		t.Errorf("got %v", err)
	}
}
