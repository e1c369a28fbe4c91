// Package queue runs the Redis server that holds the messages, so that what it
// has acknowledged survives the death of its pod, its node and its process.
package queue

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/pulumi/pulumi-random/sdk/v4/go/random"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"caravan.dev/caravan/components/internal/object"
	"caravan.dev/caravan/contract"
	"caravan.dev/caravan/stacks"
)

// Type is the Pulumi type of the component.
const Type = "caravan:components:Queue"

// Args say what kind of queue is wanted.
type Args struct {
	// Namespace it is put into.
	Namespace string
	// Plan shapes the server.
	Plan stacks.QueuePlan
	// Image of Redis, 7.0 or later.
	Image string
	// ScalerNamespace is the namespace of KEDA, which reads the backlog.
	ScalerNamespace string
	// After are resources that must exist first: the namespace and its ground rules.
	After []pulumi.Resource
}

// Endpoint is all that a client needs to know. It is settled before anything is
// deployed, so it can stand in pod specs and mappings.
type Endpoint struct {
	// Service is the queue's name inside its namespace, Port where it listens.
	Service string
	Port    int
	// Secret holds the password under PasswordKey.
	Secret, PasswordKey string
	// Keys are the Redis keys; the length of Keys.Jobs is the backlog.
	Keys contract.Keys
}

// Address is host:port as seen from any namespace of the cluster.
func (e Endpoint) Address(namespace string) string {
	return fmt.Sprintf("%s.%s.svc:%d", e.Service, namespace, e.Port)
}

// NewEndpoint is the endpoint of a planned queue. It fails for a name that cannot prefix Redis keys.
func NewEndpoint(plan stacks.QueuePlan) (Endpoint, error) {
	keys, err := contract.NewKeys(plan.Name)
	if err != nil {
		return Endpoint{}, err
	}
	return Endpoint{Service: Name, Port: Port, Secret: secretName, PasswordKey: passwordKey, Keys: keys}, nil
}

// Queue is a Redis server in the cluster.
type Queue struct {
	pulumi.ResourceState

	// Service is the name under which clients of the namespace find it.
	Service pulumi.StringOutput `pulumi:"service"`
	// Port it listens on.
	Port pulumi.IntOutput `pulumi:"port"`
	// Secret is the name of the Secret that holds the password.
	Secret pulumi.StringOutput `pulumi:"secret"`
	// PasswordKey is the password's key in that Secret.
	PasswordKey pulumi.StringOutput `pulumi:"passwordKey"`

	// Endpoint says the same as plain values.
	Endpoint Endpoint
	// Ready are the resources that a client has to depend on.
	Ready []pulumi.Resource
}

// New registers the queue.
func New(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Queue, error) {
	q := &Queue{}
	if err := ctx.RegisterComponentResource(Type, name, q, opts...); err != nil {
		return nil, fmt.Errorf("registering queue %q: %w", name, err)
	}
	endpoint, err := NewEndpoint(args.Plan)
	if err != nil {
		return nil, fmt.Errorf("creating queue %q: %w", name, err)
	}
	q.Endpoint = endpoint
	if err := q.register(ctx, name, args); err != nil {
		return nil, fmt.Errorf("creating queue %q: %w", name, err)
	}
	q.Service = pulumi.String(endpoint.Service).ToStringOutput()
	q.Port = pulumi.Int(endpoint.Port).ToIntOutput()
	q.Secret = pulumi.String(endpoint.Secret).ToStringOutput()
	q.PasswordKey = pulumi.String(endpoint.PasswordKey).ToStringOutput()
	err = ctx.RegisterResourceOutputs(q, pulumi.Map{
		"service": q.Service, "port": q.Port, "secret": q.Secret, "passwordKey": q.PasswordKey,
	})
	if err != nil {
		return nil, fmt.Errorf("registering the outputs of queue %q: %w", name, err)
	}
	return q, nil
}

// register makes the objects. The server waits for what it mounts; its Service
// does not wait for it, because Pulumi takes a Service for ready when pods are behind it.
func (q *Queue) register(ctx *pulumi.Context, name string, args *Args) error {
	in := []pulumi.ResourceOption{pulumi.Parent(q), pulumi.DependsOn(args.After)}
	secret, err := q.secret(ctx, name, args, in)
	if err != nil {
		return err
	}
	config := ConfigMap(args.Namespace, args.Plan)
	configMap, err := object.New(ctx, name+"-config", config, in...)
	if err != nil {
		return err
	}
	server := StatefulSet(args.Namespace, args.Image, config.Name, args.Plan)
	mounts := pulumi.DependsOn([]pulumi.Resource{secret, configMap})
	for _, o := range []struct {
		suffix string
		obj    any
		opts   []pulumi.ResourceOption
	}{
		{"-server", server, append(slices.Clone(in), mounts)},
		{"-service", Service(args.Namespace), in},
		{"-disruption", DisruptionBudget(args.Namespace), in},
		{"-network", NetworkPolicy(args.Namespace, args.ScalerNamespace), in},
		{"-clients", ClientPolicy(args.Namespace), in},
	} {
		res, err := object.New(ctx, name+o.suffix, o.obj, o.opts...)
		if err != nil {
			return err
		}
		q.Ready = append(q.Ready, res)
	}
	q.Ready = append(q.Ready, secret)
	return nil
}

// secret makes a password and the Secret that holds it, for clients in clear and
// for the server as the hash that its access list takes. No command line, no pod
// spec and no ConfigMap shows it.
func (q *Queue) secret(ctx *pulumi.Context, name string, args *Args, in []pulumi.ResourceOption) (*object.Object, error) {
	provider, err := random.NewProvider(ctx, name+"-random", &random.ProviderArgs{}, pulumi.Parent(q))
	if err != nil {
		return nil, fmt.Errorf("making the random provider: %w", err)
	}
	password, err := random.NewRandomPassword(ctx, name+"-password", &random.RandomPasswordArgs{
		Length:  pulumi.Int(passwordLength),
		Special: pulumi.Bool(false), // it stands in a URL
	}, pulumi.Parent(q), pulumi.Provider(provider))
	if err != nil {
		return nil, fmt.Errorf("making the password: %w", err)
	}
	encode := func(format func(string) string) pulumi.Output {
		return pulumi.ToSecret(password.Result.ApplyT(func(password string) string {
			return base64.StdEncoding.EncodeToString([]byte(format(password)))
		}))
	}
	return object.NewWith(ctx, name+"-auth", Secret(args.Namespace), pulumi.Map{"data": pulumi.Map{
		passwordKey: encode(func(password string) string { return password }),
		aclFile:     encode(AccessList),
	}}, in...)
}

// AccessList is Redis's access list: one user, "default", known by the SHA-256 of its password.
func AccessList(password string) string {
	sum := sha256.Sum256([]byte(password))
	return fmt.Sprintf("user default on #%s ~* &* +@all\n", hex.EncodeToString(sum[:]))
}
