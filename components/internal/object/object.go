// Package object registers Kubernetes objects with Pulumi from the typed
// values of k8s.io/api, and from plain maps for kinds that have no such type.
//
// What is registered is the very value that pure builders return, that golden
// files show and that the scheduler's own library can check. Pulumi's generated
// packages would need a second description of the same object, and their core/v1
// package alone takes minutes to compile.
package object

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Object is a Kubernetes object that Pulumi manages. It has no outputs of its
// own: names are chosen by the builders, so nothing has to be read back.
type Object struct {
	pulumi.CustomResourceState
}

// New registers obj: a pointer to a k8s.io/api value with its TypeMeta set, or a
// map[string]any. The status is left out: it belongs to the cluster.
func New(ctx *pulumi.Context, name string, obj any, opts ...pulumi.ResourceOption) (*Object, error) {
	return NewWith(ctx, name, obj, nil, opts...)
}

// NewWith is New with values that are known only while the program runs, such
// as a generated password: computed is laid over obj, map by map.
func NewWith(ctx *pulumi.Context, name string, obj any, computed pulumi.Map, opts ...pulumi.ResourceOption) (*Object, error) {
	plain, err := Plain(obj)
	if err != nil {
		return nil, fmt.Errorf("registering object %q: %w", name, err)
	}
	token, err := Token(plain)
	if err != nil {
		return nil, fmt.Errorf("registering object %q: %w", name, err)
	}
	var res Object
	if err := ctx.RegisterResource(token, name, overlay(inputs(plain), computed), &res, opts...); err != nil {
		return nil, fmt.Errorf("registering %s %q: %w", token, name, err)
	}
	return &res, nil
}

// Plain is obj as the API server would be sent it: JSON types only, without
// status and without fields that are null.
func Plain(obj any) (map[string]any, error) {
	text, err := json.Marshal(obj)
	if err != nil {
		return nil, fmt.Errorf("encoding %T: %w", obj, err)
	}
	var plain map[string]any
	if err := json.Unmarshal(text, &plain); err != nil {
		return nil, fmt.Errorf("decoding %T: %w", obj, err)
	}
	delete(plain, "status")
	return withoutNulls(plain).(map[string]any), nil
}

// Token is the Pulumi type of a Kubernetes object, e.g. "kubernetes:apps/v1:Deployment".
// The core group, which apiVersion leaves empty, is called "core".
func Token(plain map[string]any) (string, error) {
	version, _ := plain["apiVersion"].(string)
	kind, _ := plain["kind"].(string)
	if version == "" || kind == "" {
		return "", errors.New("the object has no apiVersion or no kind; set its TypeMeta")
	}
	if !strings.Contains(version, "/") {
		version = "core/" + version
	}
	return "kubernetes:" + version + ":" + kind, nil
}

// withoutNulls drops null fields, such as the creationTimestamp of an object that was never created.
func withoutNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if value == nil {
				delete(v, key)
				continue
			}
			v[key] = withoutNulls(value)
		}
	case []any:
		for i, value := range v {
			v[i] = withoutNulls(value)
		}
	}
	return v
}

// inputs turns JSON types into Pulumi's.
func inputs(plain map[string]any) pulumi.Map {
	out := pulumi.Map{}
	for key, value := range plain {
		out[key] = input(value)
	}
	return out
}

// input turns one JSON value into Pulumi's.
func input(v any) pulumi.Input {
	switch v := v.(type) {
	case map[string]any:
		return inputs(v)
	case []any:
		out := pulumi.Array{}
		for _, item := range v {
			out = append(out, input(item))
		}
		return out
	case string:
		return pulumi.String(v)
	case bool:
		return pulumi.Bool(v)
	case float64:
		return pulumi.Float64(v)
	}
	return pulumi.Any(v) // nothing else comes out of JSON
}

// overlay lays the fields of top over base.
func overlay(base, top pulumi.Map) pulumi.Map {
	for key, value := range top {
		under, isMap := base[key].(pulumi.Map)
		over, wantsMap := value.(pulumi.Map)
		if isMap && wantsMap {
			base[key] = overlay(under, over)
			continue
		}
		base[key] = value
	}
	return base
}
