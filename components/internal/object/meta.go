package object

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The label keys of every object.
const (
	// LabelName is the key of the part that an object belongs to: queue, worker.
	LabelName = "app.kubernetes.io/name"
	// LabelPartOf is the key of the application.
	LabelPartOf = "app.kubernetes.io/part-of"
	// LabelManagedBy is the key of the tool that changes the object.
	LabelManagedBy = "app.kubernetes.io/managed-by"
)

// application is the value of LabelPartOf.
const application = "caravan"

// Labels are what every object of a part carries.
func Labels(part string) map[string]string {
	return map[string]string{LabelName: part, LabelPartOf: application, LabelManagedBy: "pulumi"}
}

// Selector are the labels that find the pods of a part. They never change:
// a workload's selector is immutable.
func Selector(part string) map[string]string {
	return map[string]string{LabelName: part, LabelPartOf: application}
}

// Meta is the metadata of an object of a part.
func Meta(namespace, name, part string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: Labels(part)}
}

// ConfigMap is an immutable ConfigMap whose name ends in a hash of its content.
// New content is a new object, so the pods that mount it are rolled, and old pods
// keep the text they were started with until they are gone.
func ConfigMap(namespace, prefix, part string, files map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: Meta(namespace, prefix+"-"+contentHash(files), part),
		Immutable:  new(true),
		Data:       files,
	}
}

// contentHash is eight hexadecimal digits of the files' names and texts.
func contentHash(files map[string]string) string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		text.WriteString(name + "\x00" + files[name] + "\x00")
	}
	sum := sha256.Sum256([]byte(text.String()))
	return hex.EncodeToString(sum[:4])
}
