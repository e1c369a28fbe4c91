package queue_test

import (
	"encoding/base64"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/redis/go-redis/v9"

	"caravan.dev/caravan/components/componenttest"
	"caravan.dev/caravan/components/queue"
	"caravan.dev/caravan/internal/golden"
)

func TestConfigGolden(t *testing.T) {
	golden.Check(t, "redis.conf", queue.Config(componenttest.Plan(t, nil).Queue))
}

func TestServerGolden(t *testing.T) {
	plan := componenttest.Plan(t, map[string]string{"queue.storageClass": "fast"})
	componenttest.GoldenObject(t, "statefulset.yaml", queue.StatefulSet(plan.Namespace, plan.Images.Redis, "queue-config-0", plan.Queue))
	componenttest.GoldenObject(t, "service.yaml", queue.Service(plan.Namespace))
	componenttest.GoldenObject(t, "disruption.yaml", queue.DisruptionBudget(plan.Namespace))
	componenttest.GoldenObject(t, "network.yaml", queue.NetworkPolicy(plan.Namespace, plan.Keda.Namespace))
	componenttest.GoldenObject(t, "clients.yaml", queue.ClientPolicy(plan.Namespace))
}

func TestAnImpossibleNameIsRefused(t *testing.T) {
	plan := componenttest.Plan(t, nil).Queue
	plan.Name = "no spaces"
	if _, err := queue.NewEndpoint(plan); err == nil || !strings.Contains(err.Error(), `"no spaces"`) {
		t.Errorf("got %v, want an error that names the queue", err)
	}
}

func TestTheEndpointIsReachableFromOtherNamespaces(t *testing.T) {
	endpoint, err := queue.NewEndpoint(componenttest.Plan(t, nil).Queue)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := endpoint.Address("caravan"), "queue.caravan.svc:6379"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestRedisTakesTheConfig runs a real server with the config and the access list.
func TestRedisTakesTheConfig(t *testing.T) {
	client := serve(t)
	if _, err := client("wrong").Ping(t.Context()).Result(); err == nil {
		t.Error("the server lets in a client with a wrong password")
	}
	if _, err := client("").Ping(t.Context()).Result(); err == nil {
		t.Error("the server lets in a client without a password")
	}
	c := client(componenttest.Password)
	for setting, want := range map[string]string{
		"appendonly": "yes", "appendfsync": "always", "save": "", "maxmemory-policy": "noeviction", "no-appendfsync-on-rewrite": "no",
	} {
		got, err := c.ConfigGet(t.Context(), setting).Result()
		if err != nil || got[setting] != want {
			t.Errorf("%s = %q, %v, want %q", setting, got[setting], err, want)
		}
	}
	if err := c.ConfigSet(t.Context(), "dir", "/").Err(); err == nil {
		t.Error("a client may move the server's directory")
	}
}

// serve starts a server with the component's texts, moved to a free port and a
// temporary folder, and returns what connects to it as "default" with a password.
func serve(t *testing.T) func(password string) *redis.Client {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("redis-server is not on PATH: install Debian's package redis-server, or run `make up`, which does")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	_ = listener.Close()

	dir := t.TempDir()
	config := strings.NewReplacer(
		"port 6379", "port "+port+"\nbind 127.0.0.1", "/etc/redis-auth", dir, "dir /data", "dir "+dir,
	).Replace(queue.Config(componenttest.Plan(t, nil).Queue))
	for file, text := range map[string]string{"redis.conf": config, "users.acl": queue.AccessList(componenttest.Password)} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := exec.CommandContext(t.Context(), binary, filepath.Join(dir, "redis.conf"))
	var log strings.Builder
	server.Stdout = &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Wait() }) // the test's context has ended: the server has been killed

	connect := func(password string) *redis.Client {
		options := &redis.Options{Addr: address, Username: "default", Password: password}
		if password == "" {
			options.Username = ""
		}
		client := redis.NewClient(options)
		t.Cleanup(func() { _ = client.Close() })
		return client
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if connect(componenttest.Password).Ping(t.Context()).Err() == nil {
			return connect
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server does not answer; its log:\n%s", log.String())
		}
	}
}

func TestThePasswordIsOnlyInTheSecret(t *testing.T) {
	graph, err := componenttest.Run(t, "", func(ctx *pulumi.Context) error {
		provider, err := kubernetes.NewProvider(ctx, "k8s", &kubernetes.ProviderArgs{})
		if err != nil {
			return err
		}
		plan := componenttest.Plan(t, nil)
		_, err = queue.New(ctx, "queue", &queue.Args{
			Namespace: plan.Namespace, Plan: plan.Queue, Image: plan.Images.Redis, ScalerNamespace: plan.Keda.Namespace,
		}, pulumi.Provider(provider))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	data := graph.Find(t, "kubernetes:core/v1:Secret", "queue-auth").Inputs["data"].ObjectValue()
	if got := decode(t, data["password"]); got != componenttest.Password {
		t.Errorf("password = %q", got)
	}
	if got := decode(t, data["users.acl"]); got != queue.AccessList(componenttest.Password) || strings.Contains(got, componenttest.Password) {
		t.Errorf("users.acl = %q, want the password's hash", got)
	}
	server := graph.Find(t, "kubernetes:apps/v1:StatefulSet", "queue-server")
	text, err := json.Marshal(server.Inputs.Mappable())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), componenttest.Password) {
		t.Error("the server's pod shows the password")
	}
	componenttest.OutputsMatch(t, &queue.Queue{}, graph.Find(t, queue.Type, "queue"))
}

// decode reads a value of a Secret, which must be marked as one.
func decode(t *testing.T, v resource.PropertyValue) string {
	t.Helper()
	if !v.IsSecret() {
		t.Fatalf("%v is not marked as a secret", v)
	}
	text, err := base64.StdEncoding.DecodeString(v.SecretValue().Element.StringValue())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
