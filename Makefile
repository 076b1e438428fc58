# The commands of this repository. `make ci` is what must pass before a change lands.

SHELL       := bash
.SHELLFLAGS := -o pipefail -ec

GO        ?= go
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS   := -s -w -X main.version=$(VERSION)
LINT      := $(GO) tool -modfile=tools/go.mod golangci-lint
FUZZTIME  ?= 10s
KILLS     ?= 200
BENCHTIME ?= 1s
# Reads `go test -json`: a skipped test fails, a closing line counts.
CHECK     := $(GO) run ./internal/cicheck
# The suites that kill the real binary: they and the binary are built with the tag `fault`. The paced processes
# mostly wait, so more of them run than there are cores.
CAMPAIGN  := $(GO) test -tags fault -count=1 -timeout 60m -parallel 6 ./test/... ./tablet/server

.PHONY: build test lint fmt fuzz bench bench-packages bench-once kill-short kill-full properties-full data ci clean

build: ## one static binary: ./forebay
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o forebay ./cmd/forebay

test: ## what the README says
	$(GO) test ./...

lint: ## the named linters; the versions are pinned in tools/go.mod
	$(LINT) run ./...

fmt: ## gofumpt and goimports, as the linter checks them
	$(LINT) fmt ./...

fuzz: ## each fuzz target for FUZZTIME
	GO='$(GO)' FUZZTIME='$(FUZZTIME)' .ci/fuzz

bench: ## us beside floors and a peer, judged: docs/performance.md; BENCH='-quick -only log' narrows it
	$(GO) run ./bench/run $(BENCH)

bench-packages: ## the benchmarks of all packages
	$(GO) test -run '^$$' -bench . -benchmem -benchtime=$(BENCHTIME) ./...

bench-once: ## each benchmark once, so that none rots
	$(GO) test -run '^$$' -bench . -benchtime=1x ./...

kill-short: ## a tenth of each kill campaign
	FOREBAY_KILLS=$$(( $(KILLS) / 10 )) $(CAMPAIGN) -json | $(CHECK)

kill-full: ## each kill campaign in full; docs/campaigns/kill.log shows what it hit
	mkdir -p docs/campaigns
	{ echo "make kill-full KILLS=$(KILLS), $$($(GO) version), $$(nproc) cores"; \
	  FOREBAY_KILLS=$(KILLS) $(CAMPAIGN) -v; } | grep -v '^=== ' | tee docs/campaigns/kill.log

properties-full: ## the writer's invariants in 100,000 random schedules; docs/campaigns/writer.log shows the faults
	mkdir -p docs/campaigns
	{ echo "make properties-full, $$($(GO) version), $$(nproc) cores"; \
	  FOREBAY_WRITER_RUNS=100000 $(GO) test ./writer -count=1 -run TestCoreProperties -v -timeout 60m; } \
	  | grep -v -e '^=== ' -e rapid | tee docs/campaigns/writer.log

data: ## the year of flights, into test/data/cache
	bash test/data/fetch.sh

ci: ## what must pass before a change lands
	bash .ci/run

clean: ## removes what was built
	rm -rf forebay bin coverage artifacts
