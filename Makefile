# wse: build, run, test. Every target does its own set-up; see README.md.
SHELL := /bin/bash
GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)
STATICCHECK := $(GO) tool -modfile=.ci/tools/go.mod staticcheck
FUZZTIME ?= 20s

.PHONY: build run test check bench soak fuzz plugins clean

build: ## bin/wse
	@.ci/setup go
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/wse ./engine/cmd/wse

run: build ## build, then serve with the defaults of configs/wse.yaml
	bin/wse serve $(ARGS)

test: build ## every test, with the race detector
	@.ci/setup go node clang wabt rust redis
	.ci/test

check: ## the gate: format, vet, staticcheck, imports, style, generated files, tidy modules, clean tree
	@.ci/setup go node
	.ci/check

bench: build ## the benchmark table, ratios in one run
	@.ci/setup go redis
	.ci/bench

soak: build ## the long runs; the log is kept in test/bench
	@.ci/setup go redis
	.ci/soak

fuzz: ## every fuzz target for FUZZTIME each
	@.ci/setup go
	FUZZTIME=$(FUZZTIME) .ci/fuzz

plugins: ## rebuild the stock plugins from source
	@.ci/setup go node
	.ci/build-plugins

clean:
	rm -rf bin
