# Caravan. `make help` lists the commands.

# CLUSTER: embedded (default: a real cluster on this machine, as root) or
# kubeconfig (the current context of your kubeconfig).
CLUSTER ?= embedded
STACK_embedded := local
STACK_kubeconfig := kubeconfig
STACK := $(or $(STACK_$(CLUSTER)),$(error CLUSTER is "$(CLUSTER)"; choose embedded or kubeconfig))

# Root may build a checkout of another user's, which git refuses to describe.
export GOFLAGS += -buildvcs=false

EMBEDDED := .caravan/bin/embedded
RUN_TESTS := scripts/test.sh

.PHONY: help
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: up
up: $(CLUSTER)-up caravan ## bring everything up: tools, cluster, stack
	@scripts/deploy.sh $(STACK)

.PHONY: embedded-up kubeconfig-up
embedded-up: embedded
	@$(EMBEDDED) up
kubeconfig-up: embedded
	@$(EMBEDDED) tools --kubeconfig

.PHONY: down
down: embedded ## destroy the stack and the embedded cluster, leave nothing behind
	@scripts/destroy.sh $(STACK)
ifeq ($(CLUSTER),embedded)
	@$(EMBEDDED) down
endif

.PHONY: env
env: ## print the environment for plain pulumi and kubectl: eval "$(make env)"
	@[ -x $(EMBEDDED) ] || { echo "nothing is built yet: run \`make up\` first" >&2; exit 1; }
	@$(EMBEDDED) env $(STACK)

.PHONY: status
status: embedded ## show the embedded cluster's processes, nodes and pods
	@$(EMBEDDED) status

.PHONY: caravan embedded
caravan: ## build bin/caravan
	@go build -o bin/caravan ./cmd/caravan
embedded:
	@command -v go >/dev/null || { echo "Go is missing: install Go 1.26.5 or newer (https://go.dev/dl) and put it on PATH" >&2; exit 1; }
	@go build -C embedded -o ../$(EMBEDDED) .

.PHONY: test
test: embedded ## lint, and every test that needs no cluster
	@$(EMBEDDED) tools --checks
	@$(RUN_TESTS) unit

.PHONY: e2e
e2e: embedded caravan ## the end-to-end tests; they end a cluster that runs here and start their own
	@$(EMBEDDED) tools --checks
	@$(RUN_TESTS) e2e

.PHONY: golden
golden: ## write the golden files anew; read the difference before you commit it
	@scripts/golden.sh

.PHONY: data
data: ## make data/cities.csv anew from its package
	@data/make.sh
