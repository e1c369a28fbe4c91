package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"
)

// asProgram makes the test binary behave as the program, of the version that it holds.
const asProgram = "RANDOM_PROVIDER_VERSION"

func TestMain(m *testing.M) {
	if given, program := os.LookupEnv(asProgram); program {
		version = given
		main()
		return
	}
	os.Exit(m.Run())
}

func TestTheProgramTellsItsPortAndEndsWithTheEngine(t *testing.T) {
	// The shell stands for the engine: it starts the program and dies of a kill.
	shell := exec.CommandContext(t.Context(), "sh", "-c", `"$0" & wait`, os.Args[0])
	shell.Env = append(os.Environ(), asProgram+"=1.2.3")
	output, err := shell.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(output)
	port, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if got := toldVersion(t, strings.TrimSpace(port)); got != "1.2.3" {
		t.Errorf("version %q, want 1.2.3", got)
	}
	if err := shell.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// The program holds the other end of the pipe until it ends.
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, lines)
		ended <- err
	}()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the program outlived the engine by 20 s")
	}
	if err := shell.Wait(); err == nil {
		t.Error("the shell was killed, but ended well")
	}
}

// toldVersion asks the program at the port for its version.
func toldVersion(t *testing.T, port string) string {
	t.Helper()
	connection, err := grpc.NewClient("127.0.0.1:"+port, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := connection.Close(); err != nil {
			t.Error(err)
		}
	}()
	info, err := pulumirpc.NewResourceProviderClient(connection).GetPluginInfo(t.Context(), &emptypb.Empty{})
	if err != nil {
		t.Fatal(fmt.Errorf("asking the program at port %s: %w", port, err))
	}
	return info.GetVersion()
}

func TestAProgramWithoutAVersionRefusesToStart(t *testing.T) {
	program := exec.CommandContext(t.Context(), os.Args[0])
	program.Env = append(os.Environ(), asProgram+"=")
	output, err := program.CombinedOutput()
	if err == nil || !strings.Contains(string(output), "built without a version") {
		t.Errorf("ended with %v and said %q", err, output)
	}
}
