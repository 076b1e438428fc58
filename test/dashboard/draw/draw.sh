#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Checks docs/grafana/forebay.json against Grafana's published schema and draws it with Grafana's components:
#
#	go run ./test/dashboard -hold       # says where its Prometheus is
#	test/dashboard/draw/draw.sh http://127.0.0.1:PORT docs/grafana/dashboard.png [MINUTES]
#
# Needs Node.js with npm and its registry, chromium, pngquant and the font Inter (Debian: fonts-inter).
set -eu

prometheus=$1 picture=$(realpath "$2") minutes=${3:-5}
cd "$(dirname "$0")"
dashboard=../../../docs/grafana/forebay.json
work=${FOREBAY_DRAW:-$(mktemp -d)}
[ -n "${FOREBAY_DRAW:-}" ] || trap 'rm -rf "$work"' EXIT

cp package.json page.tsx schema.ts "$work"
cp "$dashboard" "$work/forebay.json"
cd "$work"
[ -d node_modules ] || npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps

{ echo "import type { Checked } from './schema';"; echo 'export const dashboard: Checked ='; cat forebay.json; } >check.ts
npx tsc --noEmit --strict --skipLibCheck --target es2022 --module esnext --moduleResolution bundler check.ts

npx esbuild page.tsx --bundle --minify --outfile=page.js --log-level=warning --loader:.svg=dataurl --loader:.css=text \
	--loader:.scss=empty --define:process.env.NODE_ENV='"production"' --define:global=window
echo '<!doctype html><meta charset="utf-8"><body style="margin:0"><div id="root"></div><script src="page.js"></script>' \
	>page.html

chromium --headless=new --no-sandbox --disable-gpu --hide-scrollbars --window-size=1512,2930 --virtual-time-budget=20000 \
	--user-data-dir="$work/chromium" --screenshot="$work/page.png" \
	"file://$work/page.html?prometheus=$prometheus&minutes=$minutes" 2>chromium.log
pngquant --force --speed 1 --output "$picture" 64 page.png
ls -l "$picture"
