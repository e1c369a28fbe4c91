// Command pulumi-resource-random is a small stand-in for Pulumi's random
// provider. It is used only on machines where the Pulumi CLI cannot fetch the
// real plugin; wherever that can be fetched, the real one is used.
//
// It makes one resource, random:index/randomPassword:RandomPassword, under the
// real provider's name, token and version, and with its inputs and outputs, so
// that programs and the Go SDK cannot tell the two apart. Any other resource is
// refused by name. What the real one does and this one does not: the deprecated
// input and output "number" (an alias of "numeric"), and import.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
)

// version is the plugin's version, set by the linker: that of the SDK in the
// root go.mod, because the engine asks for the plugin that the SDK names.
var version string

func main() {
	if err := serve(); err != nil {
		fmt.Fprintf(os.Stderr, "pulumi-resource-random: %v\n", err)
		os.Exit(1)
	}
}

// serve answers the engine until the engine ends it. The engine learns the port
// from the first line of standard output; what it passes as arguments (its own
// address, logging flags) is not needed here.
func serve() error {
	if version == "" {
		return errors.New("built without a version; build with -ldflags '-X main.version=…'")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening for the engine: %w", err)
	}
	server := grpc.NewServer()
	pulumirpc.RegisterResourceProviderServer(server, &provider{version: version})
	go stopWithParent(server, os.Getppid())
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	if err := server.Serve(listener); err != nil {
		return fmt.Errorf("serving the engine: %w", err)
	}
	return nil
}

// stopWithParent stops the server once its parent is gone: an engine that is
// killed cannot end its plugins, and they must not outlive it.
func stopWithParent(server *grpc.Server, parent int) {
	for range time.Tick(time.Second) {
		if os.Getppid() != parent {
			server.Stop()
			return
		}
	}
}
