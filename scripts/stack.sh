# What deploy.sh and destroy.sh share; sourced with $stack set.

eval "$(.caravan/bin/embedded env "$stack")"
# A checkout of another user's has no version to stamp into what the CLI builds.
export GOFLAGS="${GOFLAGS:-} -buildvcs=false"

# The CLI notes the salt of this machine's passphrase in the stack's file, which
# git tracks. The state holds it too, and is where the CLI finds it next time.
forget_salt() {
    local kept
    kept=$(grep -v '^encryptionsalt:' "Pulumi.$stack.yaml")
    [ "$kept" = "$(cat "Pulumi.$stack.yaml")" ] || printf '%s\n' "$kept" >"Pulumi.$stack.yaml"
}
trap forget_salt EXIT

# A CLI that was killed leaves its lock; it names the process.
remove_dead_locks() {
    local lock pid
    for lock in ".caravan/$stack/state/.pulumi/locks/organization/caravan/$stack"/*.json; do
        [ -e "$lock" ] || continue
        pid=$(sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' "$lock")
        if [ -n "$pid" ] && ! kill -0 "$pid" 2>/dev/null; then
            echo "Removing the lock of a pulumi that was killed (process $pid)."
            rm -f "$lock"
        fi
    done
}

# Whether the stack is there; any other trouble is an error.
stack_exists() { pulumi stack ls --json | grep -q "\"name\": *\"$stack\""; }
