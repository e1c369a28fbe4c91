package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"caravan.dev/caravan/stacks"
)

const (
	// embeddedKubeconfig is where the embedded cluster writes its kubeconfig, in the
	// project's folder, and embeddedContext is the one context in it.
	embeddedKubeconfig = ".caravan/local/kubeconfig"
	embeddedContext    = "caravan-embedded"
)

// way leads to a cluster, always the same one: to the context that was resolved
// when the program ran, whatever becomes the current one later.
type way struct {
	// kubeconfig is the path of the one file, so that the stack's state has no
	// credentials; of several files it is, as a secret, what leads to the context.
	kubeconfig pulumi.StringInput
	context    string
}

// findCluster finds the way to the plan's cluster. The embedded cluster's is
// always its own file; another's is in the files of KUBECONFIG or, without it,
// in the one that kubectl takes.
func findCluster(ctx *pulumi.Context, plan stacks.ClusterPlan) (way, error) {
	own := inProject(ctx, embeddedKubeconfig)
	switch plan.Kind {
	case stacks.Embedded:
		return wayThrough([]string{own}, embeddedContext, "run `make up`")
	case stacks.Kubeconfig:
		var files []string
		for _, file := range clientcmd.NewDefaultClientConfigLoadingRules().Precedence {
			files = append(files, inProject(ctx, file))
		}
		found, err := wayThrough(files, plan.Context, "point KUBECONFIG at the kubeconfig of your cluster, or set cluster.context to one of its contexts")
		if err == nil && found.context == embeddedContext {
			err = fmt.Errorf("cluster.kind kubeconfig: the context %s is the embedded cluster, whose images and KEDA are those of the stack local: "+
				"point KUBECONFIG at the kubeconfig of your cluster, or set cluster.context", embeddedContext)
		}
		return found, err
	case stacks.EKS:
		return way{}, errors.New("cluster.kind: eks: creating the cluster on AWS is not in this release; " +
			"make a cluster, point KUBECONFIG at it and use cluster.kind kubeconfig")
	default:
		return way{}, fmt.Errorf("cluster.kind: no way to reach a cluster of kind %q", plan.Kind)
	}
}

// wayThrough is the way through those of the files that exist, merged as kubectl
// merges them, to the wanted context or else to the current one. mend says what to
// do when it leads nowhere.
func wayThrough(files []string, wanted, mend string) (way, error) {
	existing := slices.DeleteFunc(slices.Clone(files), func(file string) bool {
		_, err := os.Stat(file)
		return file == "" || errors.Is(err, os.ErrNotExist)
	})
	names := strings.Join(existing, ", ")
	if len(existing) == 0 {
		return way{}, fmt.Errorf("there is no kubeconfig %s: %s", strings.Join(files, ", "), mend)
	}
	config, err := (&clientcmd.ClientConfigLoadingRules{Precedence: existing}).Load()
	if err != nil {
		return way{}, fmt.Errorf("reading the kubeconfig %s: %w: %s", names, err, mend)
	}
	context, err := resolveContext(config, wanted)
	if err != nil {
		return way{}, fmt.Errorf("kubeconfig %s: %w: %s", names, err, mend)
	}
	if len(existing) == 1 {
		return way{kubeconfig: pulumi.String(existing[0]), context: context}, nil
	}
	content, err := contentFor(config, context)
	if err != nil {
		return way{}, fmt.Errorf("merging the kubeconfigs %s: %w", names, err)
	}
	return way{kubeconfig: pulumi.ToSecret(pulumi.String(content)).(pulumi.StringOutput), context: context}, nil
}

// resolveContext is the wanted context or else the current one. It fails when
// there is none such, and when it does not lead to a cluster.
func resolveContext(config *clientcmdapi.Config, wanted string) (string, error) {
	known := strings.Join(slices.Sorted(maps.Keys(config.Contexts)), ", ")
	name := wanted
	if name == "" {
		name = config.CurrentContext
	}
	switch {
	case len(config.Contexts) == 0:
		return "", errors.New("there is no context in it")
	case name == "":
		return "", errors.New("there is no current context; there are: " + known)
	case config.Contexts[name] == nil:
		return "", fmt.Errorf("there is no context %q; there are: %s", name, known)
	}
	if err := clientcmd.ConfirmUsable(*config, name); err != nil {
		return "", fmt.Errorf("the context %q leads nowhere: %w", name, err)
	}
	return name, nil
}

// contentFor is the part of a config that leads to one context, as a file.
func contentFor(config *clientcmdapi.Config, context string) (string, error) {
	config.CurrentContext = context
	if err := clientcmdapi.MinifyConfig(config); err != nil {
		return "", err
	}
	content, err := clientcmd.Write(*config)
	return string(content), err
}
