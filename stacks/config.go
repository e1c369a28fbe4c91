package stacks

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// flatten turns a config as Pulumi passes it into texts by key name and notes
// what is no key of the project. Missing keys have their defaults.
//
// Pulumi reads the dots in a declared key as a path: it merges defaults and
// stack values of scaling.maxWorkers and its siblings into one JSON object
// under "caravan:scaling". A key that was set without --path arrives apart, as
// "caravan:scaling.maxWorkers", beside the object that has its default.
func flatten(config map[string]string, faults *Faults) map[string]string {
	nested, flat := map[string]string{}, map[string]string{}
	for _, full := range slices.Sorted(maps.Keys(config)) {
		name, ours := strings.CutPrefix(full, Project+":")
		switch {
		case !ours:
		case isKey(name):
			flat[name] = config[full]
		case isGroup(name):
			readGroup(name, config[full], nested, faults)
		default:
			refuseUnknown(name, faults)
		}
	}
	values := map[string]string{}
	for _, k := range keys {
		values[k.Name] = k.Default
		within, isNested := nested[k.Name]
		if isNested {
			values[k.Name] = within
		}
		apart, isFlat := flat[k.Name]
		if isFlat {
			values[k.Name] = apart
		}
		if isNested && isFlat && within != k.Default && within != apart {
			faults.add(k.Name, show(apart), "contradicts "+show(within)+", to which it is set as well",
				"remove it with pulumi config rm "+Project+":"+k.Name+" and set it with pulumi config set --path")
		}
	}
	return values
}

// readGroup takes the keys out of an object of config.
func readGroup(group, text string, into map[string]string, faults *Faults) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		faults.add(group, "", "is no group of keys", "indent its keys below it, one a line")
		return
	}
	for _, member := range slices.Sorted(maps.Keys(members)) {
		name := group + "." + member
		if !isKey(name) {
			refuseUnknown(name, faults)
			continue
		}
		into[name] = string(members[member])
		var plain string
		if err := json.Unmarshal(members[member], &plain); err == nil {
			into[name] = plain
		}
	}
}

// refuseUnknown does not show the value: it might be a secret.
func refuseUnknown(name string, faults *Faults) {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.Name
	}
	faults.add(name, "", "is no config key of "+Project, meant(name, names, "see the keys in Pulumi.yaml"))
}

func isKey(name string) bool {
	return slices.ContainsFunc(keys, func(k Key) bool { return k.Name == name })
}

func isGroup(name string) bool {
	return slices.ContainsFunc(keys, func(k Key) bool { return strings.HasPrefix(k.Name, name+".") })
}
