# Playhead: build, try, test and measure. `make` alone lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export CARGO_TERM_PROGRESS_WHEN ?= never

BINARY := target/release/playhead

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

deps: ## Install what building and the demonstration need and this machine lacks
	@scripts/deps.sh demo

web: ## Build the web app and the player's decoding core into web/dist
	@scripts/web.sh

build: web ## Build the release binary with the web app in it: target/release/playhead
	cargo build --release --locked -p playhead-cli

demo: deps build ## Record a virtual desktop and watch it in the browser (DEMO_ARGS="--listen 127.0.0.1:8080")
	@exec $(BINARY) demo $(DEMO_ARGS)

package: deps build ## Build the Debian package: target/package/playhead_VERSION_ARCH.deb
	@scripts/package.sh

test: ## Run every check: format, lints, unit tests, both databases, web, end to end
	@scripts/deps.sh test
	@scripts/test.sh

bench: build ## Measure bytes and CPU against other encoders and write docs/benchmarks.md (CORPUS=DIR,DIR2)
	@scripts/deps.sh bench
	python3 bench/run.py

fuzz: ## Run every fuzz target for FUZZ_MINUTES (10) minutes
	@scripts/fuzz.sh

soak: ## Record while SOAK_FAULTS (200) random faults happen, and prove that nothing acknowledged is lost
	@scripts/deps.sh test
	@scripts/soak.sh

clean: ## Remove what was built
	rm -rf target fuzz/target web/dist web/node_modules corpus

.PHONY: help deps web build package demo test bench fuzz soak clean
