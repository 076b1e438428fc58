#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Writes tablet/wire/*.pb.go anew from tablet.proto, with pinned versions of what makes them; with --check it fails
# where the files in the tree differ instead. Needs Go, Python 3 with venv, and the two package registries.
set -eu

PROTOC_GEN_GO=v1.36.12
PROTOC_GEN_GO_GRPC=v1.6.2
GRPCIO_TOOLS=1.85.1 # brings protoc 35.1

cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

GOBIN="$work/bin" go install "google.golang.org/protobuf/cmd/protoc-gen-go@$PROTOC_GEN_GO"
GOBIN="$work/bin" go install "google.golang.org/grpc/cmd/protoc-gen-go-grpc@$PROTOC_GEN_GO_GRPC"
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "grpcio-tools==$GRPCIO_TOOLS"

mkdir "$work/out"
(
	cd tablet/wire
	PATH="$work/bin:$PATH" "$work/venv/bin/python" -m grpc_tools.protoc --proto_path=. \
		--go_out="$work/out" --go_opt=paths=source_relative \
		--go-grpc_out="$work/out" --go-grpc_opt=paths=source_relative tablet.proto
)

if [ "${1:-}" = --check ]; then
	for file in "$work"/out/*.pb.go; do
		diff -u "tablet/wire/$(basename "$file")" "$file"
	done
else
	cp "$work"/out/*.pb.go tablet/wire/
fi
