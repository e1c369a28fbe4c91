package componenttest_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"caravan.dev/caravan/components/componenttest"
)

type component struct{ pulumi.ResourceState }

type thing struct{ pulumi.CustomResourceState }

func TestEachBrokenRuleIsReported(t *testing.T) {
	graph, err := componenttest.Run(t, "", func(ctx *pulumi.Context) error {
		if err := ctx.RegisterComponentResource("a:b:Silent", "silent", &component{}); err != nil {
			return err
		}
		for range 2 {
			if err := ctx.RegisterResource("a:b:Thing", "twin", pulumi.Map{}, &thing{}); err != nil {
				return err
			}
		}
		ctx.Export("leak", pulumi.String("redis://:"+componenttest.Password+"@queue"))
		return ctx.RegisterResource("a:b:Thing", "leak", pulumi.Map{
			"env":    pulumi.Array{pulumi.Map{"value": pulumi.String(componenttest.Password)}},
			"sealed": pulumi.ToSecret(componenttest.Password),
		}, &thing{})
	})
	if err != nil {
		t.Fatal(err)
	}
	got := graph.Violations()
	slices.Sort(got)
	want := []string{
		"a:b:Silent silent: registered no outputs",
		"a:b:Thing leak: has no component as its parent",
		"a:b:Thing leak: shows the password at .env[0].value",
		"a:b:Thing leak: uses a default provider",
		"a:b:Thing twin: has no component as its parent",
		"a:b:Thing twin: has no component as its parent",
		"a:b:Thing twin: is registered twice",
		"a:b:Thing twin: uses a default provider",
		"a:b:Thing twin: uses a default provider",
		"the stack's outputs show the password at .leak",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
