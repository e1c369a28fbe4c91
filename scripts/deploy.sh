#!/usr/bin/env bash
# Brings a stack up with the Pulumi CLI and says what runs and what to type next.
set -euo pipefail
cd "$(dirname "$0")/.."
stack=$1
. scripts/stack.sh

stack_exists || pulumi stack init "$stack"
pulumi stack select "$stack"
remove_dead_locks
# The embedded cluster is this stack's alone: what a killed run has made in it,
# and did not note, is taken over instead of being a conflict.
[ "$stack" != local ] || export PULUMI_K8S_ENABLE_PATCH_FORCE=true
started=$(date +%s)
pulumi up --stack "$stack" --yes --skip-preview --suppress-outputs
echo
pulumi stack output plan --stack "$stack"
option= variable=
[ "$stack" = local ] || option=" --stack $stack" variable=" CLUSTER=$stack"
cat <<END

The stack "$stack" is up ($(($(date +%s) - started)) s for the stack). Next:

  bin/caravan load data/cities.csv --count 1000 --wait$option    answer 1,000 questions
  bin/caravan watch$option                                       see workers come and go
  bin/caravan results$option | head                              read the answers
  eval "\$(make env$variable)"                                      then pulumi and kubectl work as usual
  make down$variable                                               remove everything
END
