package cluster_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"caravan.dev/caravan/cmd/caravan/internal/cluster"
	"caravan.dev/caravan/cmd/caravan/internal/cluster/clustertest"
	"caravan.dev/caravan/internal/redistest"
)

func TestTunnelLeadsToRedisAndOutlivesItsPod(t *testing.T) {
	ctx := context.Background()
	server := redistest.StartServer(t)
	if err := server.ConfigSet(ctx, "requirepass", "secret").Err(); err != nil {
		t.Fatal(err)
	}
	api := clustertest.Start(t, server.Addr, "secret")
	client, err := cluster.New(api.Kubeconfig, "", clustertest.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	password, err := client.Password(ctx, clustertest.Secret, clustertest.PasswordKey)
	if err != nil {
		t.Fatal(err)
	}
	tunnel := client.Tunnel(clustertest.Service, clustertest.Port)
	through := redis.NewClient(&redis.Options{Password: password, Dialer: tunnel.Dial})
	defer func() { _ = through.Close() }()
	if err := through.Set(ctx, "k", "v", 0).Err(); err != nil {
		t.Fatalf("through the tunnel: %v", err)
	}
	api.Break()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if got, err := through.Get(ctx, "k").Result(); err == nil && got == "v" {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("after the tunnel broke: %q, %v", got, err)
		}
	}
	if api.Opened() != 2 {
		t.Errorf("%d port-forwards were opened, want 2", api.Opened())
	}
	if err := tunnel.Close(); err != nil {
		t.Error(err)
	}
}

func TestWhatIsMissingInTheClusterIsSaid(t *testing.T) {
	ctx := context.Background()
	client, err := cluster.New(clustertest.Start(t, "127.0.0.1:1", "").Kubeconfig, "", clustertest.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Workers(ctx, "worker")
	if want := "reading the worker deployment caravan/worker: it does not exist; `pulumi up` creates it: "; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got  %v\nwant %s…", err, want)
	}
	_, err = client.Password(ctx, clustertest.Secret, "pass")
	if want := `reading the queue's password: secret caravan/queue-auth has no key "pass"; ` + "`pulumi up` mends it"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestClusterOutOfReachIsSaidWithItsAddress(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kubeconfig")
	config := `{"apiVersion": "v1", "kind": "Config", "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c"}}],
"clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}]}`
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := cluster.New(file, "", "caravan")
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Workers(context.Background(), "worker")
	want := "reading the worker deployment caravan/worker: the cluster at http://127.0.0.1:1 cannot be reached (`make up` starts the embedded one): "
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got  %v\nwant %s…", err, want)
	}
	if _, err := cluster.New(file, "prod", "caravan"); err == nil || !strings.Contains(err.Error(), `context "prod"`) {
		t.Errorf("an unknown context gave %v", err)
	}
}
