#!/usr/bin/env bash
# Writes the golden files of all tests that have some.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.caravan/bin:$PATH"
mapfile -t packages < <(git grep -l 'flag.Bool("update"\|componenttest.Golden' -- '*_test.go' 'components/componenttest/*.go' | xargs -n1 dirname | sort -u | grep -v componenttest)
go test "${packages[@]/#/./}" -update
git status --short -- '*testdata*'
