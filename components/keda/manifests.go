package keda

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	apiyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"caravan.dev/caravan/components/internal/object"
)

// fromManifests registers each object of the file, wave by wave.
func (k *Keda) fromManifests(ctx *pulumi.Context, name string, args *Args) error {
	text, err := os.ReadFile(args.Manifests)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no %s: run `make up`, which writes it, or unset keda.manifests to take the chart", args.Manifests)
	}
	if err != nil {
		return fmt.Errorf("reading KEDA's manifests: %w", err)
	}
	objects, err := Decode(text)
	if err != nil {
		return fmt.Errorf("decoding %s: %w", args.Manifests, err)
	}
	if !slices.ContainsFunc(objects, func(obj map[string]any) bool {
		return obj["kind"] == "Namespace" && objectName(obj) == args.Namespace
	}) {
		return fmt.Errorf("%s brings no namespace %q: set keda.namespace to the one that it brings", args.Manifests, args.Namespace)
	}
	for _, wave := range Waves(objects) {
		before := slices.Clone(k.Ready)
		for _, obj := range wave {
			res, err := object.New(ctx, name+"-"+resourceName(obj), obj, pulumi.Parent(k), pulumi.DependsOn(before))
			if err != nil {
				return err
			}
			k.Ready = append(k.Ready, res)
		}
	}
	return nil
}

// Decode splits a file of YAML documents into objects; empty documents are
// skipped. It fails when a document is no object, or when there is none at all.
func Decode(text []byte) ([]map[string]any, error) {
	var objects []map[string]any
	reader := apiyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for n := 1; ; n++ {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
		var obj map[string]any
		if err := yaml.Unmarshal(document, &obj); err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
		if len(obj) == 0 {
			continue
		}
		if _, err := object.Token(obj); err != nil || objectName(obj) == "" {
			return nil, fmt.Errorf("document %d is no Kubernetes object: it needs apiVersion, kind and metadata.name", n)
		}
		objects = append(objects, obj)
	}
	if len(objects) == 0 {
		return nil, errors.New("no Kubernetes object in it")
	}
	return objects, nil
}

// Waves sorts objects into groups, each of which needs the groups before it and
// is deleted before them. Services come with the pods behind them, because Pulumi
// waits for those. What stands in front of the API server comes last: an
// aggregated API or a webhook whose pods are gone makes other requests fail, and
// among them the deletion of any namespace.
func Waves(objects []map[string]any) [][]map[string]any {
	waves := make([][]map[string]any, lastWave+1)
	for _, obj := range objects {
		kind, _ := obj["kind"].(string)
		waves[waveOf(kind)] = append(waves[waveOf(kind)], obj)
	}
	return slices.DeleteFunc(waves, func(wave []map[string]any) bool { return len(wave) == 0 })
}

// lastWave is the highest number that waveOf returns.
const lastWave = 3

func waveOf(kind string) int {
	switch kind {
	case "Namespace", "CustomResourceDefinition":
		return 0
	case "Deployment", "StatefulSet", "DaemonSet", "Job", "Service":
		return 2
	case "APIService", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration":
		return lastWave
	default: // accounts, roles, bindings, configuration: what pods need
		return 1
	}
}

// resourceName is the logical name of an object: kind, namespace if any, name.
func resourceName(obj map[string]any) string {
	kind, _ := obj["kind"].(string)
	parts := []string{strings.ToLower(kind)}
	if namespace := metadata(obj, "namespace"); namespace != "" {
		parts = append(parts, namespace)
	}
	return strings.Join(append(parts, objectName(obj)), "-")
}

func objectName(obj map[string]any) string { return metadata(obj, "name") }

func metadata(obj map[string]any, field string) string {
	meta, _ := obj["metadata"].(map[string]any)
	value, _ := meta[field].(string)
	return value
}
