#!/usr/bin/env bash
# Runs the tests of one kind and counts them: test.sh unit | e2e
set -euo pipefail
cd "$(dirname "$0")/.."
kind=$1
export PATH="$PWD/bin:$PWD/.caravan/bin:$PATH"
results=.caravan/test-results
mkdir -p "$results"
rm -f "$results/$kind"*.json

# Modules with tests; the other tool modules hold pins only.
modules=(. embedded embedded/tools/pulumi-resource-random)

run() { # run NAME FOLDER ARGUMENTS: tests of one module
    local name=$1 folder=$2
    shift 2
    (cd "$folder" && gotestsum --format "$format" --jsonfile "$OLDPWD/$results/$kind-$name.json" -- "$@")
}

case $kind in
unit)
    for module in "${modules[@]}"; do
        echo "lint $module"
        (cd "$module" && golangci-lint run --config "$OLDPWD/.golangci.yml" ./...)
    done
    format=pkgname
    for module in "${modules[@]}"; do
        (cd "$module" && go list ./... | grep -v /test/e2e) >"$results/packages"
        mapfile -t packages <"$results/packages"
        run "${module//\//-}" "$module" -count=1 "${packages[@]}"
    done
    ;;
e2e)
    format=standard-verbose
    run e2e . -count=1 -timeout 45m -v ./test/e2e
    ;;
esac
