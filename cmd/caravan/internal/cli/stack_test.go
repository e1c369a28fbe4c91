package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"caravan.dev/caravan/cmd/caravan/internal/cluster/clustertest"
	"caravan.dev/caravan/cmd/caravan/internal/project"
	"caravan.dev/caravan/internal/redistest"
)

// runInStack runs the command line in a project whose stack's outputs lead
// through the cluster to Redis. The Pulumi CLI is a script that prints them. The
// caller's KUBECONFIG, and the current context of the stack's, lead nowhere.
func runInStack(t *testing.T, args ...string) outcome {
	t.Helper()
	server := redistest.StartServer(t)
	if err := server.ConfigSet(context.Background(), "requirepass", "secret").Err(); err != nil {
		t.Fatal(err)
	}
	api := clustertest.Start(t, server.Addr, "secret")
	api.AddCurrentContext(t, "elsewhere", "http://127.0.0.1:1")
	root := t.TempDir()
	outputs := `{"namespace": "caravan", "cluster": {"kind": "embedded", "context": "` + clustertest.Context + `"}, "plan": "",
"queue": {"name": "caravan", "mode": "stream", "service": "queue", "port": ` + strconv.Itoa(clustertest.Port) + `, "secret": "queue-auth", "passwordKey": "password"},
"worker": {"deployment": "worker", "scaledObject": "worker"}}`
	for name, text := range map[string]string{
		"Pulumi.yaml": "name: caravan\n",
		"cities.csv":  "id,city\n1,Rome\n",
		"bin/pulumi":  "#!/bin/sh\ncat <<'END'\n" + outputs + "\nEND\n",

		project.EnvFile("local"): "PATH=" + root + "/bin\nKUBECONFIG=" + api.Kubeconfig + "\n",
	} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var out, errs bytes.Buffer
	code := Run(context.Background(), args, World{
		In: strings.NewReader(""), Out: &out, Err: &errs, Dir: root, Now: time.Now,
		Env: project.Env{"PATH": os.Getenv("PATH"), "KUBECONFIG": "/nonexistent"},
	})
	return outcome{code, out.String(), errs.String()}
}

func TestQueueIsFoundByTheStacksOutputsAndReachedThroughTheCluster(t *testing.T) {
	got := runInStack(t, "load", "cities.csv")
	want := outcome{0, "1 loaded into queue caravan of stack local\n", ""}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestStatusOfAStackWithoutWorkersSaysWhatIsMissing(t *testing.T) {
	got := runInStack(t, "status")
	for _, want := range []string{
		"stack      local\n", "messages   backlog 0", "PROBLEM    the worker deployment does not exist\n           → create it: pulumi up -s local\n",
		"PROBLEM    the scaled object does not exist",
	} {
		if got.code != exitFailed || !strings.Contains(got.out, want) {
			t.Errorf("exit code %d, no %q in\n%s%s", got.code, want, got.out, got.err)
		}
	}
}
