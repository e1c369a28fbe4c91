#!/usr/bin/env bash
# Destroys a stack. What runs on the embedded cluster ends with the cluster, so
# there a destroy that fails or hangs is no reason to leave the cluster behind.
set -euo pipefail
cd "$(dirname "$0")/.."
stack=$1
[ -f ".caravan/$stack/env" ] || exit 0
. scripts/stack.sh

destroy() { pulumi destroy --stack "$stack" --yes --skip-preview; }

if [ "$stack" != local ]; then
    stack_exists || exit 0
    remove_dead_locks
    destroy
elif ! .caravan/bin/embedded status >/dev/null 2>&1; then
    echo "The embedded cluster does not answer: nothing to destroy in it."
elif stack_exists; then
    remove_dead_locks
    export -f destroy
    export stack
    timeout 180 bash -c destroy || echo "The stack was not destroyed in order; it ends with its cluster."
fi
# The caravan command takes the stack that has an environment.
rm -f ".caravan/$stack/env"
