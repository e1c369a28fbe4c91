package checkout

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"caravan.dev/embedded/toolchain"
)

func example(t *testing.T) Checkout {
	t.Helper()
	root := filepath.Join(t.TempDir(), "it's here")
	if err := os.MkdirAll(filepath.Join(root, "embedded"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "Pulumi.yaml"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return Checkout{root}
}

func TestACheckoutIsFoundFromItsFolders(t *testing.T) {
	c := example(t)
	found, err := Find(filepath.Join(c.Root, "embedded"))
	if err != nil || found != c {
		t.Errorf("found %v, %v; want %v", found, err, c)
	}
	if _, err := Find("/"); err == nil || !strings.Contains(err.Error(), "is not inside a checkout of Caravan") {
		t.Errorf("outside of a checkout: %v", err)
	}
}

func TestToolsAndProvidersAreLinkedWhereTheyAreLookedFor(t *testing.T) {
	c := example(t)
	built := toolchain.Built{"bento": "/cache/bento", "pulumi-resource-random": "/cache/random"}
	for range 2 { // linking again changes nothing
		if err := c.Link(built); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		c.Path("bin", "bento"): "/cache/bento",
		Stack{c, Local}.Path("pulumi-home", "plugins", "resource-random-v"+toolchain.PulumiRandomVersion, "pulumi-resource-random"): "/cache/random",
	} {
		if got, err := os.Readlink(path); err != nil || got != want {
			t.Errorf("%s points to %q, %v; want %q", path, got, err, want)
		}
	}
}

func TestThePassphraseIsMadeOnceAndReadByItsOwnerOnly(t *testing.T) {
	s := Stack{example(t), Local}
	var passphrases []string
	for range 2 {
		if err := s.Prepare(""); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(s.Path("passphrase"))
		if err != nil {
			t.Fatal(err)
		}
		passphrases = append(passphrases, string(content))
	}
	if passphrases[0] != passphrases[1] || len(passphrases[0]) < 40 {
		t.Error("the passphrase is short or changes")
	}
	if info, err := os.Stat(s.Path("passphrase")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
}

func TestTheEnvironmentIsExportedForAShell(t *testing.T) {
	local := Stack{example(t), Local}
	if _, err := local.Exports(); err == nil || !strings.Contains(err.Error(), "make up") {
		t.Errorf("before the first up: %v", err)
	}
	if err := local.Prepare("/k"); err != nil {
		t.Fatal(err)
	}
	exports, err := local.Exports()
	if err != nil {
		t.Fatal(err)
	}
	quoted := strings.ReplaceAll(local.Root, "'", `'\''`)
	for _, want := range []string{
		"export KUBECONFIG='/k'\n",
		"export PATH='" + quoted + "/bin:" + quoted + "/.caravan/bin':\"$PATH\"\n",
		"export PULUMI_BACKEND_URL='file://" + quoted + "/.caravan/local/state'\n",
	} {
		if !strings.Contains(exports, want) {
			t.Errorf("%q is missing in\n%s", want, exports)
		}
	}
}

func TestStacksShareNeitherStateNorPluginsNorKubeconfig(t *testing.T) {
	c := example(t)
	local, other := Stack{c, Local}.environment("/k"), Stack{c, Kubeconfig}.environment("")
	for _, name := range []string{"PULUMI_HOME", "PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE_FILE"} {
		if local[name] == other[name] {
			t.Errorf("both stacks have %s=%s", name, local[name])
		}
	}
	if _, set := other["KUBECONFIG"]; set {
		t.Error("the user's own kubeconfig does not stay in force")
	}
}
