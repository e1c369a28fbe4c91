// Package componenttest runs Pulumi programs against a monitor that records what
// they register and creates nothing, and compares documents with golden files.
package componenttest

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

// Password is what every generated password is in a recorded program.
const Password = "correct-horse-battery-staple"

// Resource is one registration.
type Resource struct {
	URN, Type, Name, Parent string
	// Provider is the reference of an explicit provider, empty for a default one.
	Provider string
	// Custom resources belong to a provider; the others are components.
	Custom bool
	// Inputs as registered, secrets marked.
	Inputs resource.PropertyMap
	// DependsOn holds the URNs of the resources that have to exist before.
	DependsOn []string
	// Outputs are those that a component registered in the end; nil if it did not.
	Outputs resource.PropertyMap
}

// Graph is all that a program registered, in the order in which it arrived.
type Graph struct {
	Resources []*Resource
	// Exports are the stack's outputs.
	Exports resource.PropertyMap
}

// Find returns the one resource with this name and type. The test ends when there is none.
func (g *Graph) Find(t *testing.T, typ, name string) *Resource {
	t.Helper()
	for _, r := range g.Resources {
		if r.Type == typ && r.Name == name {
			return r
		}
	}
	t.Fatalf("no %s %q is registered", typ, name)
	return nil
}

// Run runs the program as stack "test" of project "caravan" and returns what it
// registered and the error that it ended with.
func Run(t *testing.T, root string, program pulumi.RunFunc) (*Graph, error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	rec := &recorder{t: t}
	server := grpc.NewServer()
	pulumirpc.RegisterResourceMonitorServer(server, rec)
	pulumirpc.RegisterEngineServer(server, &engine{t: t})
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()

	err = pulumi.RunErr(program, func(info *pulumi.RunInfo) {
		info.Project, info.Stack, info.RootDirectory = "caravan", "test", root
		info.MonitorAddr, info.EngineAddr = listener.Addr().String(), listener.Addr().String()
	})
	return &rec.graph, err
}

// recorder is a resource monitor: the engine's side of a registration.
type recorder struct {
	pulumirpc.UnimplementedResourceMonitorServer
	t     *testing.T
	mu    sync.Mutex
	graph Graph
}

var marshalling = plugin.MarshalOptions{KeepSecrets: true, KeepUnknowns: true, KeepResources: true}

func (r *recorder) SupportsFeature(_ context.Context, req *pulumirpc.SupportsFeatureRequest) (*pulumirpc.SupportsFeatureResponse, error) {
	has := req.GetId() == "secrets" || req.GetId() == "resourceReferences"
	return &pulumirpc.SupportsFeatureResponse{HasSupport: has}, nil
}

func (r *recorder) RegisterResource(_ context.Context, req *pulumirpc.RegisterResourceRequest) (*pulumirpc.RegisterResourceResponse, error) {
	inputs, err := plugin.UnmarshalProperties(req.GetObject(), marshalling)
	if err != nil {
		return nil, fmt.Errorf("reading the inputs of %s %q: %w", req.GetType(), req.GetName(), err)
	}
	res := &Resource{
		URN:  fmt.Sprintf("urn:pulumi:test::caravan::%s::%s", req.GetType(), req.GetName()),
		Type: req.GetType(), Name: req.GetName(), Parent: req.GetParent(), Provider: req.GetProvider(),
		Custom: req.GetCustom(), Inputs: inputs, DependsOn: req.GetDependencies(),
	}
	if req.GetType() != string(resource.RootStackType) {
		r.mu.Lock()
		r.graph.Resources = append(r.graph.Resources, res)
		r.mu.Unlock()
	}
	state := inputs.Copy()
	if req.GetType() == "random:index/randomPassword:RandomPassword" {
		state["result"] = resource.MakeSecret(resource.NewProperty(Password))
	}
	object, err := plugin.MarshalProperties(state, marshalling)
	if err != nil {
		return nil, fmt.Errorf("writing the state of %s %q: %w", req.GetType(), req.GetName(), err)
	}
	response := &pulumirpc.RegisterResourceResponse{Urn: res.URN, Object: object}
	if res.Custom {
		response.Id = res.Name + "-id"
	}
	return response, nil
}

func (r *recorder) RegisterResourceOutputs(_ context.Context, req *pulumirpc.RegisterResourceOutputsRequest) (*emptypb.Empty, error) {
	outputs, err := plugin.UnmarshalProperties(req.GetOutputs(), marshalling)
	if err != nil {
		return nil, fmt.Errorf("reading the outputs of %s: %w", req.GetUrn(), err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, res := range r.graph.Resources {
		if res.URN == req.GetUrn() {
			res.Outputs = outputs
			return &emptypb.Empty{}, nil
		}
	}
	r.graph.Exports = outputs
	return &emptypb.Empty{}, nil
}

func (r *recorder) SignalAndWaitForShutdown(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// engine takes the program's log.
type engine struct {
	pulumirpc.UnimplementedEngineServer
	t *testing.T
}

func (e *engine) Log(_ context.Context, req *pulumirpc.LogRequest) (*emptypb.Empty, error) {
	e.t.Logf("%s: %s", req.GetSeverity(), req.GetMessage())
	return &emptypb.Empty{}, nil
}
