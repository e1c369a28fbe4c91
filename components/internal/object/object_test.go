package object_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"caravan.dev/caravan/components/componenttest"
	"caravan.dev/caravan/components/internal/object"
)

func TestTokensNameGroupVersionAndKind(t *testing.T) {
	for apiVersion, want := range map[string]string{
		"v1":                   "kubernetes:core/v1:Thing",
		"apps/v1":              "kubernetes:apps/v1:Thing",
		"networking.k8s.io/v1": "kubernetes:networking.k8s.io/v1:Thing",
		"keda.sh/v1alpha1":     "kubernetes:keda.sh/v1alpha1:Thing",
	} {
		got, err := object.Token(map[string]any{"apiVersion": apiVersion, "kind": "Thing"})
		if err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", apiVersion, got, err, want)
		}
	}
}

func TestAnObjectWithoutATypeIsRefused(t *testing.T) {
	_, err := object.Token(map[string]any{"kind": "Thing"})
	const want = "the object has no apiVersion or no kind; set its TypeMeta"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestPlainDropsStatusAndNullsAndKeepsEmptyMaps(t *testing.T) {
	got, err := object.Plain(&networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Name: "deny"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
		"metadata": map[string]any{"name": "deny"},
		"spec":     map[string]any{"podSelector": map[string]any{}}, // selects every pod
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	deployment, err := object.Plain(&appsv1.Deployment{Status: appsv1.DeploymentStatus{Replicas: 3}})
	if err != nil {
		t.Fatal(err)
	}
	if _, has := deployment["status"]; has {
		t.Error("the status is registered; it belongs to the cluster")
	}
}

func TestComputedValuesAreLaidOverTheObject(t *testing.T) {
	graph, err := componenttest.Run(t, "", func(ctx *pulumi.Context) error {
		_, err := object.NewWith(ctx, "auth", &corev1.Secret{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
			ObjectMeta: metav1.ObjectMeta{Name: "auth"},
			Data:       map[string][]byte{"fixed": []byte("x")},
		}, pulumi.Map{"data": pulumi.Map{"computed": pulumi.ToSecret("later")}})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	data := graph.Find(t, "kubernetes:core/v1:Secret", "auth").Inputs["data"].ObjectValue()
	if got := data["fixed"]; !got.IsString() || got.StringValue() != "eA==" {
		t.Errorf("fixed = %v, want eA== as it was", got)
	}
	if got := data["computed"]; !got.IsSecret() || got.SecretValue().Element.StringValue() != "later" {
		t.Errorf("computed = %v, want a secret", got)
	}
	if got := graph.Resources[0].Inputs["metadata"]; !got.DeepEquals(resource.NewProperty(resource.PropertyMap{"name": resource.NewProperty("auth")})) {
		t.Errorf("metadata = %v", got)
	}
}

func TestLabelsAreExactlyThese(t *testing.T) {
	want := map[string]string{
		"app.kubernetes.io/name": "queue", "app.kubernetes.io/part-of": "caravan", "app.kubernetes.io/managed-by": "pulumi",
	}
	if diff := cmp.Diff(want, object.Labels("queue")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAConfigMapsNameFollowsItsContent(t *testing.T) {
	name := func(files map[string]string) string {
		return object.ConfigMap("ns", "worker-bento", "worker", files).Name
	}
	one := name(map[string]string{"a": "1", "b": "2"})
	if again := name(map[string]string{"b": "2", "a": "1"}); again != one {
		t.Errorf("the same content is called %s and %s", one, again)
	}
	for _, other := range []map[string]string{{"a": "1", "b": "3"}, {"a": "12", "b": ""}, {"a": "1"}} {
		if name(other) == one {
			t.Errorf("%v is called %s like other content", other, one)
		}
	}
}
