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
		c.Path("pulumi-home", "plugins", "resource-random-v"+toolchain.PulumiRandomVersion, "pulumi-resource-random"): "/cache/random",
	} {
		if got, err := os.Readlink(path); err != nil || got != want {
			t.Errorf("%s points to %q, %v; want %q", path, got, err, want)
		}
	}
}

func TestThePassphraseIsMadeOnceAndReadByItsOwnerOnly(t *testing.T) {
	c := example(t)
	var passphrases []string
	for range 2 {
		if err := c.Passphrase(); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(c.Path("passphrase"))
		if err != nil {
			t.Fatal(err)
		}
		passphrases = append(passphrases, string(content))
	}
	if passphrases[0] != passphrases[1] || len(passphrases[0]) < 40 {
		t.Error("the passphrase is short or changes")
	}
	if info, err := os.Stat(c.Path("passphrase")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
}

func TestTheEnvironmentIsExportedForAShell(t *testing.T) {
	c := example(t)
	if _, err := c.Exports(); err == nil || !strings.Contains(err.Error(), "make up") {
		t.Errorf("before the first up: %v", err)
	}
	if err := os.MkdirAll(c.Path(), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := c.WriteEnvironment(c.Environment("/k")); err != nil {
		t.Fatal(err)
	}
	exports, err := c.Exports()
	if err != nil {
		t.Fatal(err)
	}
	quoted := strings.ReplaceAll(c.Root, "'", `'\''`)
	for _, want := range []string{
		"export KUBECONFIG='/k'\n",
		"export PATH='" + quoted + "/bin:" + quoted + "/.caravan/bin':\"$PATH\"\n",
		"export PULUMI_BACKEND_URL='file://" + quoted + "/.caravan/state'\n",
	} {
		if !strings.Contains(exports, want) {
			t.Errorf("%q is missing in\n%s", want, exports)
		}
	}
	if _, kept := c.Environment("")["KUBECONFIG"]; kept {
		t.Error("without a kubeconfig the user's own does not stay in force")
	}
}
