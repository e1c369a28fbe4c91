// Command pulumi-resource-kubernetes is Pulumi's own Kubernetes provider, built
// from its module because its release archive is out of reach offline.
//
// The two embedded files lie in the provider's module; the build lays them over
// this folder (see the tool list in embedded/toolchain).
package main

import (
	_ "embed"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
)

// version is set by the linker: the provider's release.
var version string

//go:embed schema.json
var schema []byte

//go:embed terraform-mapping.json
var terraformMapping []byte

func main() {
	provider.Serve("kubernetes", version, schema, terraformMapping)
}
