package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"golang.org/x/crypto/bcrypt"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const testURN = resource.URN("urn:pulumi:test::caravan::" + token + "::queue")

// engine returns the engine's own side of the protocol, joined to the provider
// by gRPC and configured as the engine does it.
func engine(t *testing.T) plugin.Provider {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	pulumirpc.RegisterResourceProviderServer(server, &provider{version: "4.19.0"})
	go func() {
		if err := server.Serve(listener); err != nil {
			t.Errorf("serving: %v", err)
		}
	}()
	t.Cleanup(server.Stop)
	connection, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := connection.Close(); err != nil {
			t.Error(err)
		}
	})
	client := plugin.NewProviderWithClient(nil, pulumirpc.NewResourceProviderClient(connection), false)
	kind := tokens.Type("pulumi:providers:random")
	if _, err := client.Configure(t.Context(), plugin.ConfigureRequest{Type: &kind}); err != nil {
		t.Fatal(err)
	}
	return client
}

func properties(of map[string]any) resource.PropertyMap {
	return resource.NewPropertyMapFromMap(of)
}

func create(t *testing.T, of map[string]any) plugin.CreateResponse {
	t.Helper()
	made, err := engine(t).Create(t.Context(), plugin.CreateRequest{
		URN: testURN, Properties: properties(of),
	})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// made returns a created password, and fails unless the engine sees a secret.
func made(t *testing.T, of map[string]any) string {
	t.Helper()
	result := create(t, of).Properties["result"]
	if !result.IsSecret() {
		t.Fatalf("result is not a secret: %v", result.TypeString())
	}
	return result.SecretValue().Element.StringValue()
}

func TestMarksAreThoseOfTheSDK(t *testing.T) {
	for ours, theirs := range map[string]string{
		unknownSentinel: plugin.UnknownStringValue,
		signatureKey:    resource.SigKey,
		secretSignature: resource.SecretSig,
	} {
		if ours != theirs {
			t.Errorf("%s, but the SDK has %s", ours, theirs)
		}
	}
}

func TestCreateMakesASecretPasswordWithItsHash(t *testing.T) {
	created := create(t, map[string]any{"length": 32})
	if created.ID != passwordID {
		t.Errorf("ID %q, want %q", created.ID, passwordID)
	}
	for _, name := range []resource.PropertyKey{"result", "bcryptHash"} {
		if !created.Properties[name].IsSecret() {
			t.Fatalf("%s is not a secret", name)
		}
	}
	password := created.Properties["result"].SecretValue().Element.StringValue()
	hashed := created.Properties["bcryptHash"].SecretValue().Element.StringValue()
	if err := bcrypt.CompareHashAndPassword([]byte(hashed), []byte(password)); err != nil {
		t.Errorf("the hash is not the password's: %v", err)
	}
	if !created.Properties["upper"].BoolValue() || created.Properties["minUpper"].NumberValue() != 0 {
		t.Errorf("defaults are missing from the outputs: %v", created.Properties)
	}
}

func TestEveryPasswordIsAnother(t *testing.T) {
	if first, second := made(t, map[string]any{"length": 24}), made(t, map[string]any{"length": 24}); first == second {
		t.Errorf("twice the same password")
	}
}

func TestALongPasswordIsHashedByItsFirst72Bytes(t *testing.T) {
	created := create(t, map[string]any{"length": 100})
	password := created.Properties["result"].SecretValue().Element.StringValue()
	hashed := created.Properties["bcryptHash"].SecretValue().Element.StringValue()
	if err := bcrypt.CompareHashAndPassword([]byte(hashed), []byte(password[:72])); err != nil {
		t.Error(err)
	}
}

func TestPreviewPromisesAPasswordAndMakesNone(t *testing.T) {
	unknown := resource.MakeComputed(resource.NewProperty(""))
	for name, of := range map[string]resource.PropertyMap{
		"known inputs":    properties(map[string]any{"length": 32}),
		"unknown length":  {"length": unknown},
		"unknown keepers": {"length": resource.NewProperty(8.0), "keepers": unknown},
	} {
		t.Run(name, func(t *testing.T) {
			client := engine(t)
			checked, err := client.Check(t.Context(), plugin.CheckRequest{URN: testURN, News: of, AllowUnknowns: true})
			if err != nil || len(checked.Failures) > 0 {
				t.Fatal(err, checked.Failures)
			}
			created, err := client.Create(t.Context(), plugin.CreateRequest{URN: testURN, Properties: checked.Properties, Preview: true})
			if err != nil {
				t.Fatal(err)
			}
			if created.ID != "" {
				t.Errorf("a preview made the ID %q", created.ID)
			}
			for _, output := range []resource.PropertyKey{"result", "bcryptHash"} {
				value := created.Properties[output]
				if !value.ContainsUnknowns() || !value.ContainsSecrets() {
					t.Errorf("%s is %v, want an unknown secret", output, value)
				}
			}
		})
	}
}

func TestLengthAndClassesAreHonoured(t *testing.T) {
	count := func(in, of string) (n int) {
		for _, r := range in {
			if strings.ContainsRune(of, r) {
				n++
			}
		}
		return n
	}
	for name, test := range map[string]struct {
		inputs map[string]any
		only   string
		least  map[string]int
	}{
		"everything":       {map[string]any{"length": 200}, lowers + uppers + digits + specials, nil},
		"no specials":      {map[string]any{"length": 200, "special": false}, lowers + uppers + digits, nil},
		"digits only":      {map[string]any{"length": 200, "special": false, "upper": false, "lower": false}, digits, nil},
		"no digits":        {map[string]any{"length": 200, "numeric": false}, lowers + uppers + specials, nil},
		"own specials":     {map[string]any{"length": 200, "overrideSpecial": "~é", "lower": false, "upper": false, "numeric": false}, "~é", nil},
		"length of one":    {map[string]any{"length": 1}, lowers + uppers + digits + specials, nil},
		"minimums fill it": {map[string]any{"length": 10, "minLower": 1, "minUpper": 2, "minNumeric": 3, "minSpecial": 4}, lowers + uppers + digits + specials, map[string]int{lowers: 1, uppers: 2, digits: 3, specials: 4}},
	} {
		t.Run(name, func(t *testing.T) {
			password := made(t, test.inputs)
			if length := len([]rune(password)); length != test.inputs["length"].(int) {
				t.Errorf("%d characters, want %d", length, test.inputs["length"])
			}
			if inside := count(password, test.only); inside != len([]rune(password)) {
				t.Errorf("%q has characters that are not in %q", password, test.only)
			}
			for class, least := range test.least {
				if count(password, class) < least {
					t.Errorf("%q has fewer than %d of %q", password, least, class)
				}
			}
		})
	}
}

func TestMinimumsDoNotStayInFront(t *testing.T) {
	inputs := map[string]any{"length": 40, "minUpper": 20, "minLower": 20}
	if password := made(t, inputs); strings.ToUpper(password[:20]) == password[:20] {
		t.Errorf("%q is not shuffled", password)
	}
}

func TestDrawingHasNoBias(t *testing.T) {
	// Two bits decide among three; 3 would be taken for 0 by a remainder.
	drawn, err := below(bytes.NewReader([]byte{3, 3, 2}), 3)
	if err != nil || drawn != 2 {
		t.Errorf("drew %d (%v), want the two 3s refused and then 2", drawn, err)
	}
	if _, err := below(bytes.NewReader(nil), 3); err == nil {
		t.Error("drew from an empty source")
	}
}

func TestCheckNamesEveryFault(t *testing.T) {
	for name, test := range map[string]struct {
		inputs map[string]any
		want   []string
	}{
		"nothing":          {map[string]any{}, []string{"length: required: the number of characters"}},
		"unknown key":      {map[string]any{"length": 8, "size": 8}, []string{"size: no such input; there are keepers, length, lower, minLower, minNumeric, minSpecial, minUpper, numeric, overrideSpecial, special, upper"}},
		"types":            {map[string]any{"length": "8", "upper": 1, "keepers": map[string]any{"a": 1}}, []string{"keepers: map[a:1] is not of type object", "length: 8 is not of type integer", "upper: 1 is not of type boolean"}},
		"fraction":         {map[string]any{"length": 8.5}, []string{"length: 8.5 is not of type integer"}},
		"negative":         {map[string]any{"length": 8, "minUpper": -1}, []string{"minUpper: -1 is not of type integer"}},
		"zero":             {map[string]any{"length": 0}, []string{"length: 0 is too short; give at least 1"}},
		"too many minimum": {map[string]any{"length": 3, "minUpper": 2, "minLower": 2}, []string{"length: 3 is below the sum of the minimums, 4; raise it"}},
		"contradiction":    {map[string]any{"length": 8, "minUpper": 2, "upper": false}, []string{"minUpper: 2, but upper is false; make it true or drop minUpper"}},
		"no class":         {map[string]any{"length": 8, "upper": false, "lower": false, "numeric": false, "special": false}, []string{"lower: lower, upper, numeric and special are all false; make one true"}},
	} {
		t.Run(name, func(t *testing.T) {
			checked, err := engine(t).Check(t.Context(), plugin.CheckRequest{URN: testURN, News: properties(test.inputs)})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, failure := range checked.Failures {
				got = append(got, string(failure.Property)+": "+failure.Reason)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestOnlyAChangedInputReplaces(t *testing.T) {
	for name, test := range map[string]struct {
		before, after map[string]any
		want          []resource.PropertyKey
	}{
		"nothing":             {map[string]any{"length": 8}, map[string]any{"length": 8}, nil},
		"default spelled out": {map[string]any{"length": 8}, map[string]any{"length": 8, "special": true, "minUpper": 0}, nil},
		"state of the real provider": {
			map[string]any{"length": 8, "__defaults": []any{}}, map[string]any{"length": 8}, nil,
		},
		"length":       {map[string]any{"length": 8}, map[string]any{"length": 9}, []resource.PropertyKey{"length"}},
		"special":      {map[string]any{"length": 8}, map[string]any{"length": 8, "special": false}, []resource.PropertyKey{"special"}},
		"keeper":       {map[string]any{"length": 8, "keepers": map[string]any{"a": "1"}}, map[string]any{"length": 8, "keepers": map[string]any{"a": "2"}}, []resource.PropertyKey{"keepers"}},
		"keepers gone": {map[string]any{"length": 8, "keepers": map[string]any{"a": "1"}}, map[string]any{"length": 8}, []resource.PropertyKey{"keepers"}},
	} {
		t.Run(name, func(t *testing.T) {
			diff, err := engine(t).Diff(t.Context(), plugin.DiffRequest{
				URN: testURN, ID: passwordID, OldInputs: properties(test.before), NewInputs: properties(test.after),
				OldOutputs: resource.PropertyMap{"result": resource.MakeSecret(resource.NewProperty("x"))},
			})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(diff.ReplaceKeys, test.want) || !slices.Equal(diff.ChangedKeys, test.want) {
				t.Errorf("replaces %v, changes %v, want %v", diff.ReplaceKeys, diff.ChangedKeys, test.want)
			}
			if changes := diff.Changes == plugin.DiffSome; changes != (len(test.want) > 0) {
				t.Errorf("changes: %v", diff.Changes)
			}
		})
	}
}

func TestReadKeepsTheStateAndItsSecrets(t *testing.T) {
	inputs := map[string]any{"length": 8}
	state := create(t, inputs).Properties
	read, err := engine(t).Read(t.Context(), plugin.ReadRequest{
		URN: testURN, ID: passwordID, Inputs: properties(inputs), State: state,
	})
	if err != nil {
		t.Fatal(err)
	}
	if !read.Outputs.DeepEquals(state) {
		t.Errorf("read %v, want %v", read.Outputs, state)
	}
	if !read.Inputs.DeepEquals(properties(inputs)) {
		t.Errorf("read inputs %v, want %v", read.Inputs, inputs)
	}
}

func TestImportIsRefused(t *testing.T) {
	_, err := engine(t).Read(t.Context(), plugin.ReadRequest{URN: testURN, ID: "hunter2"})
	if err == nil || !strings.Contains(err.Error(), "cannot be imported") {
		t.Errorf("got %v", err)
	}
}

func TestAnotherTypeIsRefusedByName(t *testing.T) {
	const pet = "random:index/randomPet:RandomPet"
	other := resource.URN("urn:pulumi:test::caravan::" + pet + "::rex")
	client := engine(t)
	none := resource.PropertyMap{}
	for name, call := range map[string]func(context.Context) error{
		"Check": func(ctx context.Context) error {
			_, err := client.Check(ctx, plugin.CheckRequest{URN: other, News: none})
			return err
		},
		"Diff": func(ctx context.Context) error {
			_, err := client.Diff(ctx, plugin.DiffRequest{URN: other, ID: "x", OldInputs: none, OldOutputs: none, NewInputs: none})
			return err
		},
		"Create": func(ctx context.Context) error {
			_, err := client.Create(ctx, plugin.CreateRequest{URN: other, Properties: none})
			return err
		},
		"Read": func(ctx context.Context) error {
			_, err := client.Read(ctx, plugin.ReadRequest{URN: other, ID: "x"})
			return err
		},
		"Delete": func(ctx context.Context) error {
			_, err := client.Delete(ctx, plugin.DeleteRequest{URN: other, ID: "x", Inputs: none, Outputs: none})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := call(t.Context()); err == nil || !strings.Contains(err.Error(), pet+" is not supported") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestDeleteAndCancelSucceed(t *testing.T) {
	client := engine(t)
	inputs := properties(map[string]any{"length": 8})
	if _, err := client.Delete(t.Context(), plugin.DeleteRequest{URN: testURN, ID: passwordID, Inputs: inputs, Outputs: inputs}); err != nil {
		t.Error(err)
	}
	if err := client.SignalCancellation(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTheVersionIsToldAndTheSchemaHasEveryInput(t *testing.T) {
	client := engine(t)
	info, err := client.GetPluginInfo(t.Context())
	if err != nil || info.Version.String() != "4.19.0" {
		t.Errorf("version %v, %v", info.Version, err)
	}
	answer, err := client.GetSchema(t.Context(), plugin.GetSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Resources map[string]struct {
			InputProperties map[string]struct{ Type string }
			Properties      map[string]struct{ Secret bool }
		}
	}
	if err := json.Unmarshal(answer.Schema, &schema); err != nil {
		t.Fatal(err)
	}
	password := schema.Resources[token]
	if len(password.InputProperties) != len(inputs) || password.InputProperties["length"].Type != "integer" {
		t.Errorf("inputs in the schema: %v", password.InputProperties)
	}
	if !password.Properties["result"].Secret || !password.Properties["bcryptHash"].Secret {
		t.Errorf("the secrets are not marked in the schema: %v", password.Properties)
	}
}
