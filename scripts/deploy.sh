#!/usr/bin/env bash
# Brings a stack up with the Pulumi CLI and says what runs and what to type next.
set -euo pipefail
cd "$(dirname "$0")/.."
stack=$1
eval "$(.caravan/bin/embedded env)"

# The CLI notes the salt of this machine's passphrase in the stack's file, which
# git tracks. The state holds it too, and is where the CLI finds it next time.
trap 'sed -i "/^encryptionsalt:/d" "Pulumi.$stack.yaml"' EXIT

pulumi stack select "$stack" >/dev/null 2>&1 || pulumi stack init "$stack"
started=$(date +%s)
pulumi up --stack "$stack" --yes --skip-preview --suppress-outputs
echo
pulumi stack output plan --stack "$stack"
cat <<END

The stack "$stack" is up ($(($(date +%s) - started)) s for the stack). Next:

  bin/caravan load data/cities.csv --count 1000 --wait    answer 1,000 questions
  bin/caravan watch                                       see workers come and go
  bin/caravan results | head                              read the answers
  eval "\$(make env)"                                      then pulumi and kubectl work as usual
  make down                                               remove everything
END
