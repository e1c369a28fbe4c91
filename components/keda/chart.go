package keda

import (
	"encoding/json"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"caravan.dev/caravan/components/internal/object"
)

const (
	// chartRepository serves KEDA's own chart.
	chartRepository = "https://kedacore.github.io/charts"
	// chartName is the chart in it, and the release's name.
	chartName = "keda"
	// chartTimeoutSeconds is how long KEDA's pods may take to become ready, image pulls included.
	chartTimeoutSeconds = 600
	// releaseType is Pulumi's Helm release. It is registered by its type, because the
	// package that declares it brings the types of every Kubernetes API with it.
	releaseType = "kubernetes:helm.sh/v3:Release"
)

// Values are the chart's values that Caravan sets.
type Values struct {
	CRDs CRDValues `json:"crds"`
}

// CRDValues say how the chart treats its custom resource definitions.
type CRDValues struct {
	// Install them with the release, and delete them with it.
	Install bool `json:"install"`
}

// release is a Helm release under Pulumi.
type release struct{ pulumi.CustomResourceState }

// fromChart installs the chart as one Helm release, which Helm orders by itself.
// The namespace is an object of its own, because Helm would leave it behind.
func (k *Keda) fromChart(ctx *pulumi.Context, name string, args *Args) error {
	values, err := chartValues(Values{CRDs: CRDValues{Install: true}})
	if err != nil {
		return err
	}
	ns, err := object.New(ctx, name+"-namespace", Namespace(args.Namespace), pulumi.Parent(k), pulumi.Provider(args.Creator))
	if err != nil {
		return err
	}
	var res release
	err = ctx.RegisterResource(releaseType, name, pulumi.Map{
		"chart":          pulumi.String(chartName),
		"version":        pulumi.String(args.ChartVersion),
		"repositoryOpts": pulumi.Map{"repo": pulumi.String(chartRepository)},
		"name":           pulumi.String(chartName),
		"namespace":      pulumi.String(args.Namespace),
		"timeout":        pulumi.Int(chartTimeoutSeconds),
		"values":         values,
		"compat":         pulumi.String("true"), // as Pulumi's own packages declare it
	}, &res, pulumi.Parent(k), pulumi.DependsOn([]pulumi.Resource{ns}))
	if err != nil {
		return fmt.Errorf("registering the release of chart %s %s: %w", chartName, args.ChartVersion, err)
	}
	k.Ready = []pulumi.Resource{ns, &res}
	return nil
}

// Namespace is the namespace of a KEDA that comes from the chart.
func Namespace(name string) *corev1.Namespace {
	return &corev1.Namespace{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: object.Meta("", name, chartName),
	}
}

// chartValues turns typed values into what a release takes.
func chartValues(values Values) (pulumi.Map, error) {
	text, err := json.Marshal(values)
	if err != nil {
		return nil, fmt.Errorf("encoding the chart's values: %w", err)
	}
	var plain map[string]any
	if err := json.Unmarshal(text, &plain); err != nil {
		return nil, fmt.Errorf("decoding the chart's values: %w", err)
	}
	return pulumi.ToMap(plain), nil
}
