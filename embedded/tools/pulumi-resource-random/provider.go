package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// token is the only resource type that this provider makes.
const token = "random:index/randomPassword:RandomPassword"

// passwordID is the ID of every RandomPassword, as the real provider has it:
// the ID is shown in the clear, and nothing but the state holds the password.
const passwordID = "none"

// The marks that Pulumi's protocol puts on values. They are declared in SDK
// packages that would double what this small program compiles; a test compares.
const (
	unknownSentinel = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
	signatureKey    = "4dabf18193072939515e22adb298388d"
	secretSignature = "1b47061264138c4ac30d75fd1eb44270"
)

// provider answers the engine. It needs no configuration and keeps no state.
// Calls that it does not implement are refused by the embedded server, which
// the engine takes for "nothing special" where they are optional.
type provider struct {
	pulumirpc.UnimplementedResourceProviderServer
	version string
}

// GetPluginInfo tells the engine the plugin's version.
func (p *provider) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: p.version}, nil
}

// Attach is the engine's greeting to a plugin that it did not start.
func (p *provider) Attach(context.Context, *pulumirpc.PluginAttach) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// Cancel has nothing to interrupt: every call is over in moments.
func (p *provider) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// Configure agrees on the protocol: Create is called on previews too, and the
// engine itself carries secret inputs around the provider.
func (p *provider) Configure(context.Context, *pulumirpc.ConfigureRequest) (*pulumirpc.ConfigureResponse, error) {
	return &pulumirpc.ConfigureResponse{SupportsPreview: true}, nil
}

// Check refuses inputs that are unknown, of a wrong type or impossible together.
func (p *provider) Check(_ context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	if err := supported(req.GetType()); err != nil {
		return nil, err
	}
	return &pulumirpc.CheckResponse{Inputs: req.GetNews(), Failures: check(req.GetNews().GetFields())}, nil
}

// Diff asks for a replacement when any input changed; a password never updates.
func (p *provider) Diff(_ context.Context, req *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	if err := supported(req.GetType()); err != nil {
		return nil, err
	}
	before, after := req.GetOldInputs().GetFields(), req.GetNews().GetFields()
	var changed []string
	for _, input := range inputs {
		if !proto.Equal(input.in(before), input.in(after)) {
			changed = append(changed, input.name)
		}
	}
	response := &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE}
	if len(changed) > 0 {
		response.Changes = pulumirpc.DiffResponse_DIFF_SOME
		response.Diffs, response.Replaces = changed, changed
	}
	return response, nil
}

// Create makes a password; on a preview it only says that there will be one.
func (p *provider) Create(_ context.Context, req *pulumirpc.CreateRequest) (*pulumirpc.CreateResponse, error) {
	if err := supported(req.GetType()); err != nil {
		return nil, err
	}
	set := req.GetProperties().GetFields()
	outputs := effective(set)
	if req.GetPreview() {
		outputs["result"] = secret(unknownSentinel)
		outputs["bcryptHash"] = secret(unknownSentinel)
		return &pulumirpc.CreateResponse{Properties: &structpb.Struct{Fields: outputs}}, nil
	}
	if faults := check(set); len(faults) > 0 {
		return nil, status.Errorf(codes.InvalidArgument, "creating %s: %s: %s", req.GetUrn(), faults[0].Property, faults[0].Reason)
	}
	password, err := newRecipe(set).password(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("creating %s: %w", req.GetUrn(), err)
	}
	hashed, err := hash(password)
	if err != nil {
		return nil, fmt.Errorf("creating %s: %w", req.GetUrn(), err)
	}
	outputs["result"], outputs["bcryptHash"] = secret(password), secret(hashed)
	return &pulumirpc.CreateResponse{Id: passwordID, Properties: &structpb.Struct{Fields: outputs}}, nil
}

// Read returns what the state holds, with the secrets marked again: a password
// exists nowhere else. Without a state there is nothing to read.
func (p *provider) Read(_ context.Context, req *pulumirpc.ReadRequest) (*pulumirpc.ReadResponse, error) {
	if err := supported(req.GetType()); err != nil {
		return nil, err
	}
	outputs := req.GetProperties().GetFields()
	for _, name := range []string{"result", "bcryptHash"} {
		if !isSet(outputs[name]) {
			return nil, status.Errorf(codes.FailedPrecondition,
				"reading %s: its state has no %s; a password cannot be imported here, create it instead", req.GetUrn(), name)
		}
		outputs[name] = secret(outputs[name].GetStringValue())
	}
	return &pulumirpc.ReadResponse{Id: req.GetId(), Properties: req.GetProperties(), Inputs: req.GetInputs()}, nil
}

// Delete has nothing to remove: the password goes with the state.
func (p *provider) Delete(_ context.Context, req *pulumirpc.DeleteRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, supported(req.GetType())
}

// GetSchema describes RandomPassword as this provider makes it.
func (p *provider) GetSchema(context.Context, *pulumirpc.GetSchemaRequest) (*pulumirpc.GetSchemaResponse, error) {
	type object = map[string]any
	given, made := object{}, object{}
	for _, input := range inputs {
		property := object{"type": input.kind, "description": input.about}
		if input.kind == mapping {
			property["additionalProperties"] = object{"type": text}
		}
		given[input.name], made[input.name] = property, property
	}
	made["result"] = object{"type": text, "secret": true, "description": "The password."}
	made["bcryptHash"] = object{"type": text, "secret": true, "description": "The password's bcrypt hash."}
	schema, err := json.Marshal(object{
		"name":    "random",
		"version": p.version,
		"resources": object{token: object{
			"inputProperties": given,
			"requiredInputs":  []string{"length"},
			"properties":      made,
			"required":        []string{"bcryptHash", "length", "result"},
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("writing the schema: %w", err)
	}
	return &pulumirpc.GetSchemaResponse{Schema: string(schema)}, nil
}

// supported refuses every resource type but RandomPassword.
func supported(resourceType string) error {
	if resourceType == token {
		return nil
	}
	return status.Errorf(codes.InvalidArgument,
		"%s is not supported: this stand-in for the random provider makes %s only; "+
			"use the real plugin, on a machine where the CLI can fetch it", resourceType, token)
}

// secret marks a string as secret, so that the engine encrypts it in the state
// and hides it in its output.
func secret(value string) *structpb.Value {
	return structpb.NewStructValue(&structpb.Struct{Fields: values{
		signatureKey: structpb.NewStringValue(secretSignature),
		"value":      structpb.NewStringValue(value),
	}})
}
