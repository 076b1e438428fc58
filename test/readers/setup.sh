#!/usr/bin/env bash
# Gets the independent reader of Parquet: pyarrow of a fixed version, with pip, into test/readers/cache. Prints the
# folder, which belongs into PYTHONPATH. Running it again costs nothing. Needs Python 3 with pip.
set -euo pipefail
cd "$(dirname "$0")"

version=18.1.0
folder=$PWD/cache/pyarrow-$version-$(python3 -c 'import sys; print("cp%d%d" % sys.version_info[:2])')

mkdir -p cache
exec 9>cache/lock
flock 9
if [ ! -d "$folder" ]; then
	# What has its name is whole.
	scratch=$(mktemp -d "$PWD/cache/.setup.XXXXXX")
	trap 'rm -rf "$scratch"' EXIT
	python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps \
		--target "$scratch/pyarrow" "pyarrow==$version" >&2
	mv "$scratch/pyarrow" "$folder"
fi
printf '%s\n' "$folder"
