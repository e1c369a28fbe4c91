// Command bento is the Bento stream processor with the components that
// Caravan's pipeline document uses and no others: the full distribution links
// several hundred connectors and takes ten times as long to build.
package main

import (
	"context"

	"github.com/warpstreamlabs/bento/public/service"

	// generate, drop, broker, http client, processors of the pipeline, metrics endpoint.
	_ "github.com/warpstreamlabs/bento/public/components/io"
	_ "github.com/warpstreamlabs/bento/public/components/prometheus"
	_ "github.com/warpstreamlabs/bento/public/components/pure"
	_ "github.com/warpstreamlabs/bento/public/components/pure/extended"
	_ "github.com/warpstreamlabs/bento/public/components/redis"
)

func main() {
	service.RunCLI(context.Background())
}
