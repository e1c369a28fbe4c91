package componenttest

import (
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Invariants reports all Violations.
func (g *Graph) Invariants(t *testing.T) {
	t.Helper()
	for _, violation := range g.Violations() {
		t.Error(violation)
	}
}

// Violations are the resources of the graph that break a rule of the house:
// children have a component as their parent, resources an explicit provider,
// components their outputs, no two resources one name, and no secret is
// registered in clear.
func (g *Graph) Violations() (violations []string) {
	seen := map[string]bool{}
	for _, r := range g.Resources {
		complain := func(broken bool, what string) {
			if broken {
				violations = append(violations, r.Type+" "+r.Name+": "+what)
			}
		}
		isProvider := strings.HasPrefix(r.Type, "pulumi:providers:")
		complain(seen[r.URN], "is registered twice")
		complain(r.Custom && strings.Contains(r.Parent, string(resource.RootStackType)), "has no component as its parent")
		complain(r.Custom && !isProvider && r.Provider == "", "uses a default provider")
		complain(!r.Custom && r.Outputs == nil, "registered no outputs")
		for _, path := range inClear(r.Inputs) {
			complain(true, "shows the password at "+path)
		}
		seen[r.URN] = true
	}
	for _, path := range inClear(g.Exports) {
		violations = append(violations, "the stack's outputs show the password at "+path)
	}
	return violations
}

// inClear returns the paths of unmarked strings that contain the password.
func inClear(properties resource.PropertyMap) (paths []string) {
	var walk func(path string, v resource.PropertyValue)
	walk = func(path string, v resource.PropertyValue) {
		switch {
		case v.IsString() && strings.Contains(v.StringValue(), Password):
			paths = append(paths, path)
		case v.IsArray():
			for i, item := range v.ArrayValue() {
				walk(fmt.Sprintf("%s[%d]", path, i), item)
			}
		case v.IsObject():
			for key, item := range v.ObjectValue() {
				walk(path+"."+string(key), item)
			}
		}
	}
	walk("", resource.NewProperty(properties))
	return paths
}

// Inventory lists the graph as text, one resource a line: type, name, parent.
func (g *Graph) Inventory() string {
	lines := make([]string, 0, len(g.Resources))
	for _, r := range g.Resources {
		parent := r.Parent[strings.LastIndex(r.Parent, "::")+2:]
		lines = append(lines, fmt.Sprintf("%s %s < %s", r.Type, r.Name, parent))
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n") + "\n"
}

// Follows reports whether r is created after, and so deleted before, the resource with this URN.
func (g *Graph) Follows(r *Resource, urn string) bool {
	if slices.Contains(r.DependsOn, urn) {
		return true
	}
	for _, other := range g.Resources {
		if slices.Contains(r.DependsOn, other.URN) && g.Follows(other, urn) {
			return true
		}
	}
	return false
}

// OutputsMatch checks that the outputs that a component registered are the tags of its fields.
func OutputsMatch(t *testing.T, component any, r *Resource) {
	t.Helper()
	var tags, keys []string
	typ := reflect.TypeOf(component).Elem()
	for i := range typ.NumField() {
		if tag := typ.Field(i).Tag.Get("pulumi"); tag != "" {
			tags = append(tags, tag)
		}
	}
	for key := range r.Outputs {
		keys = append(keys, string(key))
	}
	slices.Sort(tags)
	slices.Sort(keys)
	if !slices.Equal(tags, keys) {
		t.Errorf("%s: fields are tagged %v, outputs are %v", r.URN, tags, keys)
	}
}
