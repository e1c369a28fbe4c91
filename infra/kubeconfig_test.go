package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/client-go/tools/clientcmd"

	"caravan.dev/caravan/components/componenttest"
	"caravan.dev/caravan/stacks"
)

// kubeconfig writes a kubeconfig with these contexts, of which the first is the
// current one, and returns its path.
func kubeconfig(t *testing.T, file string, contexts ...string) string {
	t.Helper()
	text := "apiVersion: v1\nkind: Config\n"
	if len(contexts) > 0 {
		text += "current-context: " + contexts[0] + "\n"
	}
	for _, list := range []struct{ key, entry string }{
		{"contexts", "{name: %[1]s, context: {cluster: %[1]s, user: %[1]s}}"},
		{"clusters", "{name: %[1]s, cluster: {server: 'https://%[1]s:6443'}}"},
		{"users", "{name: %[1]s, user: {token: token-of-%[1]s}}"},
	} {
		text += list.key + ":\n"
		for _, name := range contexts {
			text += "- " + fmt.Sprintf(list.entry, name) + "\n"
		}
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// find is the way that a program in this project finds. An input that is no
// plain text comes out empty.
func find(t *testing.T, root string, kind stacks.ClusterKind, context string) (found way, err error) {
	t.Helper()
	_, err = componenttest.Run(t, root, func(ctx *pulumi.Context) (err error) {
		found, err = findCluster(ctx, stacks.ClusterPlan{Kind: kind, Context: context})
		return err
	})
	return found, err
}

func TestTheEmbeddedClusterIsReachedWhateverKUBECONFIGSays(t *testing.T) {
	root := project(t)
	own := pulumi.String(filepath.Join(root, ".caravan/local/kubeconfig"))
	for _, elsewhere := range []string{"", filepath.Join(root, "none"), kubeconfig(t, filepath.Join(root, "mine"), "prod", "caravan-embedded")} {
		t.Setenv("KUBECONFIG", elsewhere)
		found, err := find(t, root, stacks.Embedded, "")
		if err != nil || found.kubeconfig != own || found.context != "caravan-embedded" {
			t.Errorf("KUBECONFIG=%q: %v, %v", elsewhere, found, err)
		}
	}
}

func TestTheContextIsResolvedOnce(t *testing.T) {
	root := project(t)
	mine := kubeconfig(t, filepath.Join(root, "mine"), "kind", "prod")
	none := filepath.Join(root, "none")
	for _, c := range []struct{ kubeconfig, wanted, context string }{
		{mine, "", "kind"},
		{mine, "prod", "prod"},
		{"mine", "", "kind"}, // relative to the project
		{none + ":" + mine, "", "kind"},
	} {
		t.Setenv("KUBECONFIG", c.kubeconfig)
		found, err := find(t, root, stacks.Kubeconfig, c.wanted)
		if err != nil || found.context != c.context || found.kubeconfig != pulumi.String(mine) {
			t.Errorf("%+v: got %v, %v", c, found, err)
		}
	}
}

func TestWithoutKUBECONFIGItIsKubectlsFile(t *testing.T) {
	root := project(t)
	usual := clientcmd.RecommendedHomeFile
	t.Cleanup(func() { clientcmd.RecommendedHomeFile = usual })
	clientcmd.RecommendedHomeFile = kubeconfig(t, filepath.Join(root, "home", "config"), "at-home")
	t.Setenv("KUBECONFIG", "")
	found, err := find(t, root, stacks.Kubeconfig, "")
	if err != nil || found.context != "at-home" || found.kubeconfig != pulumi.String(clientcmd.RecommendedHomeFile) {
		t.Errorf("got %v, %v", found, err)
	}
}

func TestSeveralKubeconfigsAreHandedOverAsASecretForOneContext(t *testing.T) {
	root := project(t)
	t.Setenv("KUBECONFIG", kubeconfig(t, filepath.Join(root, "one"), "kind")+":"+kubeconfig(t, filepath.Join(root, "two"), "prod"))
	graph, err := componenttest.Run(t, root, func(ctx *pulumi.Context) error {
		found, err := findCluster(ctx, stacks.ClusterPlan{Kind: stacks.Kubeconfig, Context: "prod"})
		if err != nil {
			return err
		}
		return ctx.RegisterResource("a:b:Thing", "thing", pulumi.Map{
			"kubeconfig": found.kubeconfig, "context": pulumi.String(found.context),
		}, &pulumi.CustomResourceState{})
	})
	if err != nil {
		t.Fatal(err)
	}
	inputs := graph.Find(t, "a:b:Thing", "thing").Inputs
	if !inputs["kubeconfig"].IsSecret() {
		t.Fatal("the content is no secret: its credentials are in the state in clear")
	}
	content := inputs["kubeconfig"].SecretValue().Element.StringValue()
	config, err := clientcmd.Load([]byte(content))
	if err != nil {
		t.Fatal(err)
	}
	if inputs["context"].StringValue() != "prod" || config.CurrentContext != "prod" || config.AuthInfos["prod"].Token != "token-of-prod" {
		t.Errorf("the content does not lead to prod:\n%s", content)
	}
	if strings.Contains(content, "token-of-kind") {
		t.Error("the content has the credentials of another context")
	}
}

func TestACallWithoutAWaySaysWhatToDo(t *testing.T) {
	const mend = ": point KUBECONFIG at the kubeconfig of your cluster, or set cluster.context to one of its contexts"
	root := project(t)
	bare := t.TempDir()
	mine := kubeconfig(t, filepath.Join(root, "mine"), "kind", "prod")
	empty := kubeconfig(t, filepath.Join(root, "empty"))
	own := filepath.Join(root, ".caravan/local/kubeconfig")
	dangling := filepath.Join(root, "dangling")
	if err := os.WriteFile(dangling, []byte("contexts: [{name: kind, context: {cluster: gone}}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		root, kubeconfig string
		kind             stacks.ClusterKind
		context, want    string
	}{
		"embedded, not up": {bare, mine, stacks.Embedded, "",
			"there is no kubeconfig " + bare + "/.caravan/local/kubeconfig: run `make up`"},
		"no file": {root, "/none:/neither", stacks.Kubeconfig, "",
			"there is no kubeconfig /none, /neither" + mend},
		"no such context": {root, mine, stacks.Kubeconfig, "staging",
			"kubeconfig " + mine + `: there is no context "staging"; there are: kind, prod` + mend},
		"no current context": {root, dangling, stacks.Kubeconfig, "",
			"kubeconfig " + dangling + ": there is no current context; there are: kind" + mend},
		"no context at all": {root, empty, stacks.Kubeconfig, "",
			"kubeconfig " + empty + ": there is no context in it" + mend},
		"a context to nowhere": {root, dangling, stacks.Kubeconfig, "kind",
			"kubeconfig " + dangling + `: the context "kind" leads nowhere: `},
		"the embedded cluster's own file": {root, own, stacks.Kubeconfig, "",
			"cluster.kind kubeconfig: the context caravan-embedded is the embedded cluster"},
		"the embedded cluster among others": {root, mine + ":" + own, stacks.Kubeconfig, "caravan-embedded",
			"cluster.kind kubeconfig: the context caravan-embedded is the embedded cluster"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KUBECONFIG", c.kubeconfig)
			_, err := find(t, c.root, c.kind, c.context)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
}
