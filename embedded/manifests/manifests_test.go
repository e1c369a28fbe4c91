package manifests

import (
	"context"
	"regexp"
	"strings"
	"testing"
)

// image finds the images of containers; KEDA's definitions have fields of that name too, without a value.
var image = regexp.MustCompile(`(?m)^\s+(?:- )?image: (\S+)$|image: (\S+),`)

func TestEveryManifestRunsOnlyImagesThatWereBuiltHere(t *testing.T) {
	r := Renderer{Tools: "../tools", VolumeDir: "/volumes"}
	for name, render := range map[string]func(context.Context) ([]byte, error){
		"KEDA":           r.Keda,
		"metrics-server": r.MetricsServer,
		"volumes":        r.LocalPath,
		"CoreDNS": func(context.Context) ([]byte, error) {
			return r.CoreDNS("10.96.0.10", "cluster.local"), nil
		},
	} {
		manifest, err := render(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		found := image.FindAllStringSubmatch(string(manifest), -1)
		if len(found) == 0 {
			t.Errorf("%s runs no image", name)
		}
		for _, match := range found {
			if reference := match[1] + match[2]; !strings.HasPrefix(reference, "caravan.local/") {
				t.Errorf("%s runs %s, which no registry in reach serves", name, reference)
			}
		}
	}
}

func TestVolumesAreTheDefaultAndLieInTheClustersFolder(t *testing.T) {
	manifest, err := Renderer{Tools: "../tools", VolumeDir: "/cluster/volumes"}.LocalPath(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`storageclass.kubernetes.io/is-default-class: "true"`, `"paths":["/cluster/volumes"]`, "mkdir -m 0777"} {
		if !strings.Contains(string(manifest), want) {
			t.Errorf("%q is missing in\n%s", want, manifest)
		}
	}
}

func TestClusterDNSListensAtItsServiceAddress(t *testing.T) {
	manifest := string(Renderer{}.CoreDNS("10.96.0.10", "cluster.local"))
	for _, want := range []string{"clusterIP: 10.96.0.10", "kubernetes cluster.local in-addr.arpa"} {
		if !strings.Contains(manifest, want) {
			t.Errorf("%q is missing in\n%s", want, manifest)
		}
	}
	if strings.Contains(manifest, "${") {
		t.Errorf("a variable is left in\n%s", manifest)
	}
}
